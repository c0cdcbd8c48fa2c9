"""Stage one: asks for as many ids as there is room and puts them on the bounded queue. Claims only without Redis."""

from __future__ import annotations

import asyncio
from itertools import cycle
from typing import TYPE_CHECKING, Protocol

from consumer.schedule import Hint
from core.errors import StoreUnavailable
from core.events import StoreLost
from core.task import PRIORITIES, ReadyList

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from consumer.gate import Gate
    from consumer.pace import Pace
    from consumer.periodic import Bell, Stopping
    from consumer.presence import Presence
    from consumer.slots import Slots
    from core.clock import Clock
    from core.events import Report
    from core.task import QueueName, TaskId

_LOOK_AGAIN = 0.05
_IDLE_WITHOUT_REDIS = 0.3


class Pops(Protocol):
    """What pull needs of the ready lists."""

    async def pop(self, lists: Sequence[ReadyList], n: int) -> tuple[ReadyList, list[TaskId]] | None: ...
    async def pop_waiting(
        self, lists: Sequence[ReadyList], n: int
    ) -> tuple[ReadyList, list[TaskId]] | None: ...


class Pull:
    """Feeds the queue from Redis, or work from PostgreSQL while Redis is away (S4)."""

    def __init__(
        self,
        *,
        ready: Pops | None,
        presence: Presence,
        queues: Sequence[QueueName],
        queue: asyncio.Queue[Hint],
        slots: Slots,
        gate: Gate,
        pace: Pace,
        fed: Bell,
        stopping: Stopping,
        bell: Bell,
        clock: Clock,
        report: Report,
    ) -> None:
        self._ready = ready
        self._presence = presence
        self._lists = lists_in_turn(queues)
        self._queue = queue
        self._slots = slots
        self._gate = gate
        self._pace = pace
        self._fed = fed
        self._stopping = stopping
        self._bell = bell
        self._clock = clock
        self._report = report
        self._idle = False

    async def run(self) -> None:
        """Until the stop is asked for. A pop ends by itself; it is never canceled (S2)."""
        while not self._stopping.requested:
            self._bell.clear()
            if not self._gate.open:
                await self._bell.wait(_LOOK_AGAIN)
            elif self._ready is not None and self._presence.here:
                await self._from_redis(self._ready)
            else:
                await self._from_rows()

    def _room(self) -> int:
        """How many ids are wanted: those that can start, and a few more when handlers are fast.

        Then none while the queue is half full: fewer pops bring more each, and what waits lasts until the next.
        """
        whole, waiting = self._queue.maxsize, self._queue.qsize()
        if not self._pace.fast:
            return min(self._slots.free, whole) - waiting
        return 0 if waiting >= (whole + 1) // 2 else whole - waiting

    async def _from_redis(self, ready: Pops) -> None:
        room = self._room()
        if room <= 0:
            await self._bell.wait()
            return
        pop = ready.pop_waiting if self._idle else ready.pop
        try:
            found = await pop(next(self._lists), room)
        except StoreUnavailable as away:
            self._presence.lost(away.reason)
            return
        self._idle = found is None
        if found is None:
            return
        ready_list, ids = found
        now = self._clock()
        for task_id in ids:
            self._queue.put_nowait(Hint(task_id, ready_list, now))
        self._fed.ring()

    async def _from_rows(self) -> None:
        """Claim for free slots only; the hints that still wait in the queue have their slots to themselves."""
        wanted = self._slots.free - self._queue.qsize()
        if wanted <= 0:
            await self._bell.wait(_LOOK_AGAIN)
            return
        self._slots.take(wanted)
        try:
            claimed = await self._gate.claim_ready(next(self._lists), wanted)
        except StoreUnavailable as away:
            self._slots.release(wanted)
            self._report(StoreLost(away.store, doing="claim", reason=away.reason))
            await asyncio.sleep(_IDLE_WITHOUT_REDIS)
            return
        self._slots.release(wanted - claimed)
        if not claimed:
            await self._idle_without_redis()

    async def _idle_without_redis(self) -> None:
        self._bell.clear()  # the slots that were just released are no news
        await self._bell.wait(_IDLE_WITHOUT_REDIS)


def lists_in_turn(queues: Sequence[QueueName]) -> Iterator[list[ReadyList]]:
    """The lists to ask, for ever: the highest priority first, and within it another queue first each time."""
    turns = [
        [
            ReadyList(queue, priority)
            for priority in reversed(PRIORITIES)
            for queue in (*queues[at:], *queues[:at])
        ]
        for at in range(len(queues))
    ]
    return cycle(turns)
