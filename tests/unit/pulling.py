"""A pull between a Redis, rows to claim and a queue that nobody empties."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from consumer.pace import Pace
from consumer.periodic import Stopping
from consumer.presence import Presence
from consumer.pull import Pull
from consumer.schedule import Hint
from consumer.slots import Slots
from core.errors import OutcomeUnknown, StoreUnavailable
from core.task import QueueName, ReadyList, TaskId
from tests.unit.support import Events, now, task_id, virtual

LIST = ReadyList(QueueName("default"), 5)
Found = tuple[ReadyList, list[TaskId]] | None


class Redis:
    """Pops what the test puts on `ids`; a waiting pop lasts up to a second."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.asked: list[tuple[str, int]] = []
        self.away = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def pop(self, lists: Sequence[ReadyList], n: int) -> Found:
        assert LIST in lists
        self.asked.append(("pop", n))
        return await self._take(n)

    async def pop_waiting(self, lists: Sequence[ReadyList], n: int) -> Found:
        assert LIST in lists
        self.asked.append(("pop_waiting", n))
        for _ in range(10):
            if not self.ids and not self.away:
                await asyncio.sleep(0.1)
        return await self._take(n)

    async def ping(self) -> None:
        if self.away:
            raise StoreUnavailable("Redis", "gone")

    async def _take(self, n: int) -> Found:
        await self.answers.wait()
        if self.away:
            raise StoreUnavailable("Redis", "gone")
        taken, self.ids = self.ids[:n], self.ids[n:]
        return (LIST, [task_id(number) for number in taken]) if taken else None


class Scene:
    """A pull between a Redis, rows to claim and a queue that nobody empties. It is itself the gate."""

    def __init__(self, capacity: int = 4, *, without_redis: bool = False) -> None:
        self.redis = Redis()
        self.events = Events()
        self.open = True
        self.rows: list[int] = []
        self.claims: list[int] = []
        self.claim_fails = False
        self.claimed: list[int] = []
        self.queue: asyncio.Queue[Hint] = asyncio.Queue(capacity)
        self.pace = Pace()
        self.stopping = Stopping()
        self.room, self.fed = self.stopping.bell(), self.stopping.bell()
        self.slots = Slots(capacity, self.room.ring)
        ready = None if without_redis else self.redis
        self.presence = Presence(ready, self.events)
        self.pull = Pull(
            ready=ready,
            presence=self.presence,
            queues=[LIST.queue],
            queue=self.queue,
            slots=self.slots,
            gate=self,  # type: ignore[arg-type] # the two members that it uses
            pace=self.pace,
            fed=self.fed,
            stopping=self.stopping,
            bell=self.room,
            clock=now,
            report=self.events,
        )

    async def claim_ready(self, lists: Sequence[ReadyList], n: int) -> int:
        assert LIST in lists
        self.claims.append(n)
        await asyncio.sleep(0.001)
        if self.claim_fails:
            raise OutcomeUnknown("PostgreSQL", "gone")
        taken, self.rows = self.rows[:n], self.rows[n:]
        self.claimed += taken
        return len(taken)

    def waiting(self) -> list[TaskId]:
        return [hint.id for hint in self.queue._queue]  # type: ignore[attr-defined] # a look that takes nothing

    def empty(self) -> None:
        while not self.queue.empty():
            self.queue.get_nowait()


async def beside(s: Scene, test: Callable[[Scene], Awaitable[None]]) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(s.pull.run())
        await test(s)
        s.stopping.request()


def scene(test: Callable[[Scene], Awaitable[None]]) -> Callable[[], Any]:
    """Run the test with a pull that it starts itself, or beside one."""

    @virtual
    async def run() -> None:
        await beside(Scene(), test)

    run.__name__ = test.__name__
    return run
