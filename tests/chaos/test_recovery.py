"""How soon all is well again, from histories made by hand."""

from __future__ import annotations

import pytest

from tests.chaos.evidence import SECOND, Change, Evidence, Fault, Op, Row, Sample
from tests.chaos.recovery import windows

MINUTE = 60 * SECOND


def s(seconds: float) -> int:
    return MINUTE + round(seconds * SECOND)


KILL = Fault("consumer killed", "consumer-1", s(1), s(3))
LOCK = Fault("row locked", "postgresql", s(1), s(21), task="0")


def served(
    until: float,
    *,
    gap: tuple[float, float] = (0, 0),
    others: float = 0.0,
    fault: Fault = KILL,
    late: tuple[str, float] = ("", 0.0),
) -> Evidence:
    """Ten tasks a second, each done at once, but for those of the gap, and those of the kind that is late.

    Every fifth is of a kind that one consumer alone serves.
    """
    ids = [str(n) for n in range(round(until * 10))]
    ops = [Op(n, "submit", s(n / 10), s(n / 10), "ok", ids[n]) for n in range(len(ids))]
    kinds = ["chaos.noop" if n % 5 else "chaos.other" for n in range(len(ids))]
    changes = []
    for n, kind in enumerate(kinds):
        waits = late[1] if kind == late[0] else 0.05
        changes.append(Change(n, s(n / 10), ids[n], None, "pending", None, 0))
        if not gap[0] <= n / 10 < gap[1]:
            changes.append(Change(n, s(n / 10 + waits), ids[n], "pending", "processing", 0, 1))
            changes.append(Change(n, s(n / 10 + waits + 0.05), ids[n], "processing", "completed", 1, 2))
    backlog = [Sample(s(at), 90 if gap[0] <= at < gap[1] else 3, others) for at in range(round(until))]
    rows = {ids[n]: Row(ids[n], "completed", kinds[n], n, 2) for n in range(len(ids))}
    return Evidence(
        ops=ops, changes=changes, rows=rows, faults=[fault], samples=backlog, load=(s(-5), s(until))
    )


def test_what_is_done_from_ten_seconds_after_a_fault_is_compared_with_what_was_offered() -> None:
    [window] = windows(served(30))
    assert (window.faults, window.ratio, window.recovered) == (("consumer killed",), 1.0, True)
    assert window.offered == 130


@pytest.mark.parametrize("gap", [(14, 15), (13, 30)])
def test_a_service_that_has_not_recovered_by_then_is_told(gap: tuple[float, float]) -> None:
    [window] = windows(served(30, gap=gap))
    assert window.judged
    assert not window.recovered


def test_on_a_machine_that_others_use_recovery_is_told_and_not_judged() -> None:
    [window] = windows(served(30, gap=(13, 30), others=0.5))
    assert not window.judged


def test_a_kind_that_starts_late_is_told_though_all_of_it_is_done() -> None:
    [window] = windows(served(30, late=("chaos.other", 2.5)))
    assert window.ratio == 1.0
    assert window.late == 1.0
    assert not window.recovered
    assert windows(served(30, late=("chaos.other", 1.5)))[0].recovered


def test_a_fault_that_others_may_not_feel_is_looked_at_while_it_lasts() -> None:
    borne, after = windows(served(40, fault=LOCK))
    assert (borne.faults, borne.ratio, borne.recovered) == (("row locked, while it lasted",), 1.0, True)
    assert after.recovered
    felt, after = windows(served(40, fault=LOCK, gap=(8, 16)))
    assert felt.judged
    assert not felt.recovered
    assert after.recovered
