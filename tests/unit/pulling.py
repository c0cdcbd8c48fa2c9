"""A pull between a Redis, rows to claim and a queue that nobody empties."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from random import Random
from typing import Any, cast

from sluice.consumer.intake.capacity import Capacity
from sluice.consumer.intake.lists import Lists
from sluice.consumer.intake.prefetch import Prefetch, Works
from sluice.consumer.intake.pull import Pull
from sluice.consumer.intake.redis_health import RedisHealth
from sluice.consumer.intake.scan import ALONE, BUSY, IDLE, Popped, Scan
from sluice.consumer.intake.schedule import Hint
from sluice.consumer.periodic import every
from sluice.core.audience import Audiences, Signature
from sluice.core.errors import OutcomeUnknown, StoreUnavailable
from sluice.core.task import Kind, QueueName, ReadyList, TaskId
from sluice.core.waiting import Stopping
from tests.unit.support import Events, now, task_id, virtual

ME = Signature.of([QueueName("default")], [Kind("test")])
LIST = Audiences([ME]).list_of(QueueName("default"), Kind("test"), 5)
Found = tuple[ReadyList, list[TaskId]] | None


class Redis:
    """Pops what the test puts on `ids`; a waiting pop lasts up to a second, or until it is woken."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.asked: list[tuple[str, int]] = []
        self.away = False
        self.woken = asyncio.Event()
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
            if not self.ids and not self.away and not self.woken.is_set():
                await asyncio.sleep(0.1)
        self.woken.clear()
        return await self._take(n)

    async def wake(self) -> None:
        self.woken.set()

    async def try_popping(self) -> None:
        if self.away:
            raise StoreUnavailable("Redis", "gone")

    async def _take(self, n: int) -> Found:
        assert LIST is not None
        await self.answers.wait()
        if self.away:
            raise StoreUnavailable("Redis", "gone")
        taken, self.ids = self.ids[:n], self.ids[n:]
        return (LIST, [task_id(number) for number in taken]) if taken else None


class Rows(Scan):
    """A scan over `waiting` rows: it knows of them once it has scanned. How often it scans is its own to say."""

    def __init__(self, redis_health: RedisHealth, stopping: Stopping) -> None:
        self.bell = stopping.bell()
        super().__init__(
            store=cast("Any", None),
            claimer=cast("Any", None),
            redis_health=redis_health,
            queues=[],
            kinds=[],
            roster=cast("Any", None),
            scan_bell=self.bell,
            clock=now,
        )
        self.waiting: list[int] = []
        self.knows = False
        self.scans: list[tuple[float, timedelta]] = []
        self.claims: list[int] = []
        self.told: list[Popped | None] = []
        self.claimed: list[int] = []
        self.fails = False

    @property
    def found(self) -> bool:
        return self.knows

    async def find(self, every: timedelta) -> timedelta:
        assert every in {ALONE, IDLE, BUSY}
        self.scans.append((now(), every))
        self.knows = bool(self.waiting)
        return every

    async def claim(self, n: int) -> int:
        self.claims.append(n)
        self.told.append(self.popped)
        await asyncio.sleep(0.001)
        if self.fails:
            raise OutcomeUnknown("PostgreSQL", "gone")
        taken, self.waiting = self.waiting[:n], self.waiting[n:]
        self.claimed += taken
        self.knows = len(taken) == n
        return len(taken)


class Scene:
    """A pull between a Redis, rows to claim and a queue that nobody empties. It is itself the claimer."""

    def __init__(self, capacity: int = 4, *, without_redis: bool = False) -> None:
        self.redis = Redis()
        self.events = Events()
        self.open = True
        self.queue: asyncio.Queue[Hint] = asyncio.Queue(capacity)
        self.stopping = Stopping()
        self.pull_bell, self.schedule_bell = self.stopping.bell(), self.stopping.bell()
        self.capacity = Capacity(capacity)
        self.capacity.when_freed(self.pull_bell.ring)
        self.audiences = Audiences()
        ready = None if without_redis else self.redis
        self.redis_health = RedisHealth(ready, self.events)
        self.rows = Rows(self.redis_health, self.stopping)
        self.pull = Pull(
            ready=ready,
            redis_health=self.redis_health,
            lists=Lists(ME, self, now),
            scan=self.rows,
            queue=self.queue,
            capacity=self.capacity,
            prefetch=Prefetch(
                capacity=self.capacity,
                work=cast("Works", None),  # nothing is started here
                clock=now,
            ),
            claimer=self,  # type: ignore[arg-type] # the one member that it uses
            stopping=self.stopping,
            pull_bell=self.pull_bell,
            schedule_bell=self.schedule_bell,
            clock=now,
            report=self.events,
        )

    def waiting(self) -> list[TaskId]:
        return [hint.id for hint in self.queue._queue]  # type: ignore[attr-defined] # a look that takes nothing

    def empty(self) -> None:
        while not self.queue.empty():
            self.queue.get_nowait()


async def beside(s: Scene, test: Callable[[Scene], Awaitable[None]]) -> None:
    """The test beside a pull and its scans."""
    scanning = every(
        "scan", s.pull.scan, stopping=s.stopping, report=s.events, random=Random(1), bell=s.rows.bell
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(scanning)
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
