"""How soon all was well again: what was offered and done from ten seconds after each round of faults to the next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.chaos.evidence import SECOND, Evidence, Fault
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


class Window(NamedTuple):
    """The time after a round: which faults it had, what was offered then, what was done of it, and the backlog."""

    faults: tuple[str, ...]
    offered: int
    done: int
    backlog: int | None
    base: int
    others: float

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
        return self.ratio >= AT_LEAST and (self.backlog is None or self.backlog <= self.base)


def windows(evidence: Evidence) -> list[Window]:
    """One for each round that left time to look."""
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
        since = max(fault.healed for fault in faults) + round(AFTER * SECOND)
        last = until - round(LAST * SECOND)
        if last > since:
            found.append(_window(evidence, faults, (since, last, until), base))
    return found


def _window(evidence: Evidence, faults: list[Fault], times: tuple[int, int, int], base: int) -> Window:
    since, last, until = times
    offered = [op for op in evidence.ops if op.op == "submit" and since <= op.asked < last]
    done = sum(
        any(change.new in ENDED and change.at <= until for change in evidence.changes_of.get(op.id, ()))
        for op in offered
        if op.id is not None
    )
    samples = [found for found in evidence.samples if since <= found.at < until]
    names = tuple(fault.name for fault in faults)
    backlog = min((found.backlog for found in samples), default=None)
    others = sum(found.others for found in samples) / len(samples) if samples else 0.0
    return Window(names, len(offered), done, backlog, base, round(others, 3))


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
