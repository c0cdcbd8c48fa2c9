"""How soon all is well again, from histories made by hand."""

from __future__ import annotations

import pytest

from tests.chaos.evidence import SECOND, Change, Evidence, Fault, Op, Sample
from tests.chaos.recovery import windows

MINUTE = 60 * SECOND


def s(seconds: float) -> int:
    return MINUTE + round(seconds * SECOND)


def served(until: float, *, gap: tuple[float, float] = (0, 0), others: float = 0.0) -> Evidence:
    """Ten tasks a second, each done at once, but for those of the gap."""
    ids = [str(n) for n in range(round(until * 10))]
    ops = [Op(n, "submit", s(n / 10), s(n / 10), "ok", ids[n]) for n in range(len(ids))]
    changes = [
        Change(n, s(n / 10 + 0.1), ids[n], "processing", "completed", 1, 2)
        for n in range(len(ids))
        if not gap[0] <= n / 10 < gap[1]
    ]
    backlog = [Sample(s(at), 90 if gap[0] <= at < gap[1] else 3, others) for at in range(round(until))]
    kill = Fault("consumer killed", "consumer-1", s(1), s(3))
    return Evidence(ops=ops, changes=changes, faults=[kill], samples=backlog, load=(s(-5), s(until)))


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
