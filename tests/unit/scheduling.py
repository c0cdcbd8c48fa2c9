"""A schedule between hints that wait, claims that the test answers and a Redis that takes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Any

from sluice.consumer.intake.capacity import Capacity
from sluice.consumer.intake.prefetch import Prefetch
from sluice.consumer.intake.schedule import Hint, Schedule
from sluice.core.errors import StoreUnavailable
from sluice.core.task import ReadyList, TaskId
from sluice.core.waiting import Bell, Stopping
from tests.unit.support import Events, now, settled, task_id, virtual

HIGH, LOW = ReadyList("ours:default:9"), ReadyList("ours:default:1")


class Scene:
    """A schedule and claims that the test answers. It is itself the claimer, the scan and Redis."""

    def __init__(self, capacity: int = 4) -> None:
        self.queue: asyncio.Queue[Hint] = asyncio.Queue(capacity)
        self.stopping = Stopping()
        self.bell, self.pull_bell = self.stopping.bell(), Bell()
        self.pull_bell.ring = self._taken
        self.capacity = Capacity(capacity)
        self.capacity.when_freed(self.bell.ring)
        self.events = Events()
        self.open = True
        self.asked: list[list[TaskId]] = []
        self.answers: list[asyncio.Future[int]] = []
        self.slots_at_claim: list[int] = []
        self.returned: list[dict[ReadyList, list[TaskId]]] = []
        self.redis_away = False
        self._numbers = count(1)
        self.waited_when_told: list[int] = []
        self.counted: list[int] = []
        self.schedule = Schedule(
            queue=self.queue,
            capacity=self.capacity,
            prefetch=Prefetch(
                capacity=self.capacity,
                work=self,  # type: ignore[arg-type] # these claims start nothing
                clock=now,
            ),
            claimer=self,  # type: ignore[arg-type] # the two members that it uses
            scan=self,
            ready=self,
            stopping=self.stopping,
            pull_bell=self.pull_bell,
            schedule_bell=self.bell,
            clock=now,
            report=self.events,
        )

    def _taken(self) -> None:
        self.waited_when_told.append(self.queue.qsize())

    def brought(self, claimed: int) -> None:
        self.counted.append(claimed)

    async def claim(self, ids: Sequence[TaskId]) -> int:
        self.asked.append(list(ids))
        self.slots_at_claim.append(self.capacity.free)
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]

    async def push_oldest(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> None:
        if self.redis_away:
            raise StoreUnavailable("Redis", "gone")
        self.returned.append({ready: list(found) for ready, found in ids.items()})

    async def feed(self, n: int, ready: ReadyList = LOW) -> None:
        for number in (next(self._numbers) for _ in range(n)):
            self.queue.put_nowait(Hint(task_id(number), ready, now()))
        self.bell.ring()
        await settled()

    async def answer(self, claimed: int) -> None:
        """The newest claim brings so many."""
        self.answers[-1].set_result(claimed)
        await settled()


def scene(test: Callable[[Scene], Awaitable[None]]) -> Callable[[], Any]:
    """Run the test beside a schedule that is stopped at its end."""

    @virtual
    async def run() -> None:
        s = Scene()
        async with asyncio.TaskGroup() as group:
            group.create_task(s.schedule.run())
            await settled()
            await test(s)
            s.stopping.request()
            for answer in s.answers:
                if not answer.done():
                    answer.set_result(0)

    run.__name__ = test.__name__
    return run


def ids(*numbers: int) -> list[TaskId]:
    return [task_id(number) for number in numbers]
