"""How well all went: what was offered and done from ten seconds after each round of faults, and during those that
only what they touch may feel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.chaos.evidence import SECOND, Evidence, Fault, Op
from tests.chaos.mix import DELAYED, OTHERS
from tests.chaos.verdicts import ENDED

AFTER = 10.0
"""Seconds after which nothing may be left of a fault."""
LAST = 4.0
"""Seconds before the next round from which what is offered is not counted: its own delays and retries take as long."""
AT_LEAST = 0.98
MOST_OTHERS = 0.15
"""The share of the machine that others may take before a window is told and not judged."""
BASE_SECONDS = 0.25
"""A backlog of what is offered in this time is none: as much is always on its way."""
LATE_SECONDS = 2.0
"""A task that is due starts sooner: some tasks' own time, and none of a hint that nobody has or the wrong one took."""
MOST_LATE = 0.02
FEW = 2
"""So many may be late whatever their share: where little is offered, it is a large one."""
BORNE = {"row locked": 0.95, "unserved backlog": 0.95, "Redis full": 0.8}
"""Faults that others may not feel: how much of what is offered while one lasts must be done."""
BEARING_SECONDS = 5.0
"""How long after its beginning that is so: lists were lost, or a lock is waited for until its timeout."""


class Window(NamedTuple):
    """A time in which all must go well: the faults before it or in it, what was offered then and done, the backlog.

    `late` counts those that started late, as shares of the audience that has the most.
    """

    faults: tuple[str, ...]
    offered: int
    done: int
    backlog: int | None
    base: int
    others: float
    late: float = 0.0
    least: float = AT_LEAST

    @property
    def ratio(self) -> float:
        """Done of offered."""
        return self.done / self.offered if self.offered else 1.0

    @property
    def judged(self) -> bool:
        """Whether the machine was ours, as when its capacity was measured: otherwise no figure says anything."""
        return self.others <= MOST_OTHERS

    @property
    def recovered(self) -> bool:
        """Whether the service was as before."""
        in_time = self.backlog is None or self.backlog <= self.base
        return self.ratio >= self.least and in_time and self.late <= MOST_LATE


def windows(evidence: Evidence) -> list[Window]:
    """One for each round that left time to look, and one for each fault that was to be borne."""
    rounds = list(_rounds(evidence))
    if not rounds:
        return []
    began, ended = evidence.load
    first = min(fault.began for fault in rounds[0])
    calm = [found.backlog for found in evidence.samples if began + SECOND <= found.at < first]
    seconds = max(1.0, (ended - began) / SECOND)
    rate = sum(op.op == "submit" and began <= op.asked < ended for op in evidence.ops) / seconds
    base = max(round(rate * BASE_SECONDS), *calm, 0)
    ends = [*(min(fault.began for fault in faults) for faults in rounds[1:]), ended]
    found = []
    for faults, until in zip(rounds, ends, strict=True):
        found += [_borne(evidence, fault) for fault in faults if len(faults) == 1 and _lasts(fault)]
        since = max(fault.healed for fault in faults) + round(AFTER * SECOND)
        last = until - round(LAST * SECOND)
        if last > since:
            found.append(_window(evidence, faults, (since, last, until), base))
    return found


def _lasts(fault: Fault) -> bool:
    """Whether it was to be borne, and for long enough to look."""
    seconds = (fault.healed - fault.began) / SECOND
    return fault.name in BORNE and fault.struck and seconds > BEARING_SECONDS + LAST / 2


def _borne(evidence: Evidence, fault: Fault) -> Window:
    """What went on while it lasted."""
    since, until = fault.began + round(BEARING_SECONDS * SECOND), fault.healed
    offered, done, _ = _served(evidence, since, until - round(LAST / 2 * SECOND), until)
    others = _others(evidence, since, until)
    named = (f"{fault.name}, while it lasted",)
    return Window(named, offered, done, None, 0, others, least=BORNE[fault.name])


def _window(evidence: Evidence, faults: Sequence[Fault], times: tuple[int, int, int], base: int) -> Window:
    since, last, until = times
    offered, done, late = _served(evidence, since, last, until)
    names = tuple(fault.name for fault in faults)
    backlog = min(
        (found.backlog for found in evidence.samples if since <= found.at < until),
        default=None,
    )
    return Window(names, offered, done, backlog, base, _others(evidence, since, until), late)


def _served(evidence: Evidence, since: int, last: int, until: int) -> tuple[int, int, float]:
    """Offered from `since` to `last`; done of it by `until`; the share that started late where it is largest."""
    offered = [op for op in evidence.ops if op.op == "submit" and since <= op.asked < last]
    done = 0
    due: Counter[bool] = Counter()
    late: Counter[bool] = Counter()
    for op in offered:
        changes = evidence.changes_of.get(op.id, ()) if op.id is not None else ()
        done += any(change.new in ENDED and change.at <= until for change in changes)
        kind = evidence.rows[op.id].kind if op.id is not None and op.id in evidence.rows else DELAYED
        if kind != DELAYED:
            due[kind in OTHERS] += 1
            late[kind in OTHERS] += _started_late(evidence, op)
    shares = [late[other] / due[other] for other in due if late[other] > FEW]
    return len(offered), done, round(max(shares, default=0.0), 4)


def _started_late(evidence: Evidence, op: Op) -> bool:
    """Whether its first change came long after its answer: a claim, or a cancel while it waited."""
    changes = evidence.changes_of.get(op.id or "", ())
    born = next((change.at for change in changes if change.old is None), None)
    moved = next((change.at for change in changes if change.old is not None), None)
    return born is not None and (moved is None or moved - born > LATE_SECONDS * SECOND)


def _others(evidence: Evidence, since: int, until: int) -> float:
    """The share of the machine that others took, on average."""
    samples = [found.others for found in evidence.samples if since <= found.at < until]
    return round(sum(samples) / len(samples), 3) if samples else 0.0


def _rounds(evidence: Evidence) -> Iterator[list[Fault]]:
    """Faults that overlap, or nearly."""
    group: list[Fault] = []
    for fault in sorted(evidence.faults, key=lambda fault: fault.began):
        if group and fault.began > max(other.healed for other in group) + SECOND:
            yield group
            group = []
        group.append(fault)
    if group:
        yield group
