"""A large batch is waited for while PostgreSQL answers others, and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from sluice.api.problems.errors import MaybeAccepted
from sluice.api.schemas.submission import MAX_BATCH
from sluice.api.submit import batches
from sluice.api.submit.batches import Batches
from sluice.api.submit.submissions import Submissions
from sluice.core.errors import StoreUnavailable
from sluice.core.ids import new_task_id
from sluice.core.task import Kind, NewTask, TaskId
from sluice.db.tasks import Accepted

AT = datetime(2026, 11, 22, tzinfo=UTC)
ROUND = 0.02


class PostgreSQL:
    """Commits once `gate` is open, answers questions while `there`, refuses everything when `away`."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.there = True
        self.away = False
        self.asked = 0

    async def submit(self, new: Sequence[NewTask]) -> Mapping[TaskId, Accepted]:
        if self.away:
            raise StoreUnavailable("PostgreSQL", "nobody listens")
        await self.gate.wait()
        return {row.id: Accepted(AT, AT, due=True) for row in new}

    async def ask(self) -> None:
        self.asked += 1
        if self.away or not self.there:
            raise StoreUnavailable("PostgreSQL", "no answer")


@asynccontextmanager
async def desk(store: PostgreSQL) -> AsyncIterator[Batches]:
    submissions = Submissions(
        store, hand_over=lambda _, __: None, report=lambda _: None, most_rows=batches.MOST_ROWS_WAITING
    )
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(submissions.run())
        yield Batches(submissions, ask=store.ask)
        store.gate.set()
        submissions.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "ASKS_EVERY_SECONDS", ROUND)


NEW = [NewTask(id=new_task_id(), kind=Kind("echo")) for _ in range(3)]


async def test_it_is_waited_for_while_others_are_answered() -> None:
    store = PostgreSQL()
    async with desk(store) as made, asyncio.TaskGroup() as group:
        submitting = group.create_task(made.submit(NEW))
        while store.asked < 10:
            await asyncio.sleep(0)
        store.gate.set()

    assert submitting.result().keys() == {task.id for task in NEW}


async def test_ten_of_the_largest_may_come_at_once() -> None:
    store = PostgreSQL()
    store.gate.set()
    async with desk(store) as made:
        await asyncio.gather(*(made.submit(NEW[:1] * MAX_BATCH) for _ in range(10)))


async def test_many_that_wait_ask_one_question() -> None:
    store = PostgreSQL()
    async with desk(store) as made, asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(made.submit(NEW))
        while store.asked < 3:
            await asyncio.sleep(0)
        rounds = store.asked
        store.gate.set()

    assert rounds < 8


async def test_when_nobody_is_answered_it_may_have_been_accepted() -> None:
    store = PostgreSQL()
    store.there = False
    async with desk(store) as made:
        with pytest.raises(MaybeAccepted) as unknown:
            await made.submit(NEW)

    assert unknown.value.ids == [task.id for task in NEW]


async def test_when_nobody_listens_it_was_not_accepted() -> None:
    store = PostgreSQL()
    store.away = True
    async with desk(store) as made:
        with pytest.raises(StoreUnavailable) as away:
            await made.submit(NEW)

    assert type(away.value) is StoreUnavailable


async def test_one_whose_client_left_takes_no_room_behind_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_ROWS_WAITING", 2 * len(NEW))
    store = PostgreSQL()
    async with desk(store) as made, asyncio.TaskGroup() as group:
        for _ in range(2):  # one is in flight, one waits
            group.create_task(made.submit(NEW))
            await asyncio.sleep(0)
        for _ in range(5):
            leaving = group.create_task(made.submit(NEW))
            await asyncio.sleep(0)
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
        store.gate.set()


async def test_there_is_an_end_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "LONGEST", timedelta(seconds=5 * ROUND))
    async with desk(PostgreSQL()) as made:
        with pytest.raises(MaybeAccepted):
            await made.submit(NEW)
