"""Stage one: pulls as many ids as there is room for onto the bounded queue; claims what no list brings."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from sluice.consumer.intake.scan import Popped
from sluice.consumer.intake.schedule import Hint
from sluice.consumer.outage import Outage
from sluice.core.errors import StoreUnavailable
from sluice.core.events import Scanned

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from sluice.consumer.intake.capacity import Capacity
    from sluice.consumer.intake.claim import Claimer
    from sluice.consumer.intake.lists import Lists
    from sluice.consumer.intake.prefetch import Prefetch
    from sluice.consumer.intake.redis_health import RedisHealth
    from sluice.consumer.intake.scan import Scan
    from sluice.consumer.pulse import Pulse
    from sluice.core.clock import Clock
    from sluice.core.events import Report
    from sluice.core.task import ReadyList, TaskId
    from sluice.core.waiting import Bell, Stopping

_CHECK_AGAIN = 0.05
_POPS_EVERY = 0.05
"""Seconds: how often lists that were empty are popped while rows bring enough."""
_PAUSE = 0.3
_SAMPLE = 100
"""Ids of a pop by which its list is compared with the rows."""


class Pops(Protocol):
    """What pull needs of the ready lists."""

    async def pop(self, lists: Sequence[ReadyList], n: int) -> tuple[ReadyList, list[TaskId]] | None: ...
    async def pop_waiting(
        self, lists: Sequence[ReadyList], n: int
    ) -> tuple[ReadyList, list[TaskId]] | None: ...
    async def wake(self) -> None: ...


class Pull:
    """Feeds the queue from Redis, and claims from PostgreSQL what no list brings (S4 no Redis)."""

    def __init__(
        self,
        *,
        ready: Pops | None,
        redis_health: RedisHealth,
        lists: Lists,
        scan: Scan,
        queue: asyncio.Queue[Hint],
        capacity: Capacity,
        prefetch: Prefetch,
        claimer: Claimer,
        stopping: Stopping,
        pull_bell: Bell,
        schedule_bell: Bell,
        clock: Clock,
        report: Report,
        pulse: Pulse | None = None,
    ) -> None:
        self._ready = ready
        self._redis_health = redis_health
        self._lists = lists
        self._scan = scan
        self._queue = queue
        self._capacity = capacity
        self._prefetch = prefetch
        self._claimer = claimer
        self._stopping = stopping
        self._bell = pull_bell
        self._schedule_bell = schedule_bell
        self._clock = clock
        self._report = report
        self._outage = Outage("claim", report, pulse)
        self._popped_at = float("-inf")
        self._idle = False
        self._scanned = True  # so that the lists have the first turn: what they hold is no loss
        self._blocked = False

    async def run(self) -> None:
        """Pull until the stop is asked for. A pop ends by itself; it is never canceled (S2 clients)."""
        while not self._stopping.requested:
            self._bell.clear()
            ready = self._ready if self._redis_health.up else None
            if ready is None:
                self._scan.popped = None
            if not self._claimer.open:
                await self._bell.wait(_CHECK_AGAIN)
            elif self._scan.found and (ready is None or self._rows_are_next()):
                await self._from_rows()
            elif ready is not None and (room := self._room()) > 0:
                await self._from_lists(ready, room)
            else:
                await self._bell.wait(None if self._redis_health.up else _PAUSE)

    async def scan(self) -> timedelta:
        """Scan once for rows that no list brings, beside the pops; how long to wait for the next scan (U4 scan)."""
        pause = await self._scan.step()
        if self._scan.found:
            self._bell.ring()
            if self._ready is not None and self._blocked:
                with suppress(StoreUnavailable):  # the pop ends by itself in a second
                    await self._ready.wake()
        return pause

    def _rows_are_next(self) -> bool:
        """Say whose turn it is while rows and lists both bring work; lists that are empty are popped now and then."""
        if self._scan.popped is None:
            return self._clock() - self._popped_at < _POPS_EVERY or not self._scanned
        return not self._scanned

    def _room(self) -> int:
        """Return how many ids are wanted: those that can start, and a few more when handlers are fast.

        Then none while the queue is half full: fewer pops bring more each, and what waits lasts until the next.
        """
        whole, waiting = self._queue.maxsize, self._queue.qsize()
        if not self._capacity.fast:
            return min(self._capacity.free, whole) - waiting
        return 0 if waiting >= (whole + 1) // 2 else whole - waiting

    async def _from_lists(self, ready: Pops, room: int) -> None:
        """Take ids from the lists; wait there for some while they are empty and no row is known to be lost."""
        self._scanned = False
        lists = self._lists.next()
        self._blocked = waited = self._idle and not self._scan.found
        try:
            found = await (ready.pop_waiting if self._blocked else ready.pop)(lists, room)
        except StoreUnavailable as away:
            self._redis_health.lost(away)
            return
        finally:
            self._blocked = False
        now = self._popped_at = self._clock()
        self._idle = found is None
        if found is None:
            self._scan.popped = None
            if waited:  # as when Redis refuses what is pushed
                self._scan.sooner()
            return
        ready_list, ids = found
        self._scan.popped = Popped(ready_list, ids[-_SAMPLE:], lists)
        for task_id in ids:
            self._queue.put_nowait(Hint(task_id, ready_list, now))
        self._schedule_bell.ring()

    async def _from_rows(self) -> None:
        """Claim for as many as there is room for; the hints that still wait in the queue have theirs to themselves."""
        wanted = min(self._prefetch.room - self._queue.qsize(), self._prefetch.at_once)
        if wanted <= 0:
            await self._bell.wait()
            return
        self._scanned = True
        self._capacity.take(wanted)
        try:
            claimed = await self._scan.claim(wanted)
        except StoreUnavailable as away:
            self._capacity.release(wanted)
            self._outage.met(away)
            await asyncio.sleep(_PAUSE)
            return
        self._outage.over()
        self._capacity.release(wanted - claimed)
        if claimed:
            self._report(Scanned(claimed))
