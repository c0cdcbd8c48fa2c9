"""Outcomes to write, a store that takes a second for each statement, and what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

from sluice.consumer.runs.complete import Complete
from sluice.core.errors import Hindered, RowRefused
from sluice.core.outcome import Completion, Failing, Failure, Return, Write
from sluice.core.task import DEFAULT_KIND, DEFAULT_QUEUE, FencingToken, JsonText, TaskId
from sluice.core.waiting import Bell
from sluice.db.claims import Pending, Written
from tests.unit.support import Events, now, settled, task_id, virtual

TOKEN = FencingToken(3)
BROKEN = Failure("ValueError", "broken")


def done(number: int, result: str = "1") -> Completion:
    return Completion(task_id(number), TOKEN, JsonText(result))


def failed(number: int) -> Failing:
    return Failing(task_id(number), TOKEN, BROKEN, timedelta(seconds=1))


def back(number: int) -> Return:
    return Return(task_id(number), TOKEN)


def pending(number: int) -> Pending:
    return Pending(task_id(number), DEFAULT_QUEUE, DEFAULT_KIND, 5, due=True, due_in=timedelta())


class Store:
    """Rows that hold their token until a write takes it. Each statement takes a second, and one row may be bad."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, list[int]]] = []
        self.times: list[float] = []
        self.written: dict[int, Write] = {}
        self.bad: set[int] = set()
        self.refuses = {"finish"}
        self.errors: list[Exception | None] = []
        self.locks: set[int] = set()
        self.stuck: set[int] = set()
        self.checks: list[list[int]] = []
        self.answer_lost = False

    async def finish(self, writes: Sequence[Completion]) -> Written:
        return await self._take("finish", writes)

    async def fail(self, writes: Sequence[Failing]) -> Written:
        return await self._take("fail", writes)

    async def give_back(self, writes: Sequence[Return]) -> Written:
        return await self._take("give_back", writes)

    async def locked_among(self, ids: Sequence[TaskId]) -> set[TaskId]:
        self.checks.append([one.int for one in ids])
        return {one for one in ids if one.int in self.locks}

    async def _take(self, verb: str, writes: Sequence[Write]) -> Written:
        numbers = [write.id.int for write in writes]
        self.sent.append((verb, numbers))
        self.times.append(now())
        await asyncio.sleep(1)
        error = self.errors.pop(0) if self.errors else None
        if error is not None and not self.answer_lost:
            raise error
        if (self.locks | self.stuck) & set(numbers):
            raise Hindered("PostgreSQL", "canceling statement due to lock timeout")
        if verb in self.refuses and self.bad & set(numbers):
            raise RowRefused("22P02", "invalid input\0 for type json")
        fresh = [write for write in writes if write.id.int not in self.written]
        self.written.update((write.id.int, write) for write in fresh)
        if error is not None:
            raise error
        again = () if verb == "finish" else tuple(pending(write.id.int) for write in fresh)
        return Written(len(fresh), again)


class Scene:
    """A Complete over such a store. It is itself the publisher, and who hears of room."""

    def __init__(self, high_mark: int = 10) -> None:
        self.store, self.events = Store(), Events()
        self.published: list[int] = []
        self.told_of_room = 0
        self.complete = Complete(
            store=self.store,
            publisher=self,
            report=self.events,
            bell=Bell(),
            capacity=self,
            high_mark=high_mark,
        )

    def freed(self) -> None:
        self.told_of_room += 1

    def again(self, rows: Iterable[Pending]) -> None:
        self.published += [row.id.int for row in rows]

    async def put(self, *writes: Write) -> None:
        for write in writes:
            self.complete.put(write)
        await settled()


def scene(test: Callable[[Scene], Awaitable[None]]) -> Callable[[], Any]:
    """Run the test beside the writing, which is closed at its end and must come to one."""

    @virtual
    async def run() -> None:
        s = Scene()
        async with asyncio.TaskGroup() as group:
            group.create_task(s.complete.run())
            await settled()
            await test(s)
            s.complete.close()

    run.__name__ = test.__name__
    return run
