"""Stage two: waits for room and claims what waits in one batch. Calls no handler."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sluice.consumer.intake.capacity import UNSTARTED
from sluice.consumer.outage import Outage
from sluice.core.errors import StoreUnavailable
from sluice.core.events import GivenBack, StoreLost
from sluice.core.outcome import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sluice.consumer.intake.capacity import Capacity
    from sluice.consumer.intake.claim import Claimer
    from sluice.consumer.intake.prefetch import Prefetch
    from sluice.consumer.pulse import Pulse
    from sluice.core.clock import Clock
    from sluice.core.events import Report
    from sluice.core.task import ReadyList, TaskId
    from sluice.core.waiting import Bell, Stopping

_PAUSE = 0.05


class Hint(NamedTuple):
    """An id that may be ready, the list it came from, and when it came (of the consumer's clock)."""

    id: TaskId
    list: ReadyList
    pulled_at: float


class TakesBack(Protocol):
    """Where unstarted ids go."""

    async def push_oldest(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> None: ...


class CountsClaimed(Protocol):
    """Who wants to know how many tasks the ids of a pop brought."""

    def brought(self, claimed: int) -> None: ...


class Schedule:
    """Takes hints from the bounded queue and claims as many at once as there is room for, one claim after another."""

    def __init__(
        self,
        *,
        queue: asyncio.Queue[Hint],
        capacity: Capacity,
        prefetch: Prefetch,
        claimer: Claimer,
        scan: CountsClaimed,
        ready: TakesBack | None,
        stopping: Stopping,
        pull_bell: Bell,
        schedule_bell: Bell,
        clock: Clock,
        report: Report,
        pulse: Pulse | None = None,
    ) -> None:
        self._queue = queue
        self._capacity = capacity
        self._prefetch = prefetch
        self._claimer = claimer
        self._scan = scan
        self._ready = ready
        self._stopping = stopping
        self._pull_bell = pull_bell
        self._bell = schedule_bell
        self._clock = clock
        self._report = report
        self._outage = Outage("claim", report, pulse)
        self._next: Hint | None = None

    async def run(self) -> None:
        """Schedule until the stop is asked for. A claim in flight is awaited, never canceled."""
        while not self._stopping.requested:
            self._bell.clear()
            if self._next is None and not self._queue.empty():
                self._next = self._queue.get_nowait()
            if self._next is None:
                await self._bell.wait()
            elif (room := self._prefetch.room) > 0 and self._claimer.open:
                await self._claim(self._take(min(room, self._prefetch.at_once)))
            else:
                await self._wait_for_room(self._next)

    async def give_back(self, why: Reason) -> None:
        """Push all that waits to the old end of its list, in one try: a hint may be lost (C3 drain)."""
        hints = self._take(1 + self._queue.qsize())
        if not hints or self._ready is None:
            return
        self._report(GivenBack(len(hints), why=why))
        try:
            await self._ready.push_oldest(by_list(hints))
        except StoreUnavailable as away:
            self._report(StoreLost(away.store, doing="give back", reason=away.reason))

    async def _claim(self, hints: list[Hint]) -> None:
        """Take slots, then claim; what does not come back is dropped (R1 gate)."""
        self._capacity.take(len(hints))
        try:
            claimed = await self._claimer.claim([hint.id for hint in hints])
        except StoreUnavailable as away:
            # Nobody knows which of them are ours now: L4 reconcile finds those, U4 scan the others.
            self._capacity.release(len(hints))
            self._outage.met(away)
            await asyncio.sleep(_PAUSE)
            return
        self._outage.over()
        self._scan.brought(claimed)
        if claimed < len(hints):
            self._capacity.release(len(hints) - claimed)

    async def _wait_for_room(self, oldest: Hint) -> None:
        """Wait until something changes or the oldest hint has waited too long; then all of them go back."""
        left = oldest.pulled_at + UNSTARTED.total_seconds() - self._clock()
        if left <= 0:
            self._capacity.overestimated()  # else pull would fetch the same ids again at once
            await self.give_back(Reason.FULL)
        else:
            # With slots free it is the claimer that is closed: nobody rings when a lease is trusted again.
            await self._bell.wait(min(left, _PAUSE) if self._prefetch.room > 0 else left)

    def _take(self, n: int) -> list[Hint]:
        """Take up to `n` hints, the oldest first."""
        hints = [] if self._next is None else [self._next]
        self._next = None
        while len(hints) < n and not self._queue.empty():
            hints.append(self._queue.get_nowait())
        self._pull_bell.ring()
        return hints


def by_list(hints: Iterable[Hint]) -> dict[ReadyList, list[TaskId]]:
    """Group their ids by list, in their order."""
    grouped: dict[ReadyList, list[TaskId]] = defaultdict(list)
    for hint in hints:
        grouped[hint.list].append(hint.id)
    return grouped
