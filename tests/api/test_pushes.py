"""Ids go to Redis after the answer: in one push of what gathered, with a rest after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from api import pushes
from api.pushes import Pushes
from core.events import Event, PublishFailed
from core.ids import new_task_id
from core.task import Kind, NewTask, QueueName, ReadyList, TaskId
from db.tasks import Accepted
from tests.support.eventually import eventually

AT = datetime(2026, 11, 22, tzinfo=UTC)
DEFAULT = ReadyList(QueueName("default"), 5)


class Redis:
    """A publisher; `up` False refuses, `gate` holds it up."""

    def __init__(self) -> None:
        self.up = True
        self.gate = asyncio.Event()
        self.gate.set()
        self.pushed: list[dict[ReadyList, list[TaskId]]] = []
        self.told: list[timedelta] = []

    async def publish(self, new: Mapping[ReadyList, Sequence[TaskId]]) -> bool:
        await self.gate.wait()
        self.pushed.append({ready: list(ids) for ready, ids in new.items()})
        return self.up

    async def tell_delayed(self, due_in: timedelta) -> None:
        self.told.append(due_in)


def submitted(made: Pushes, *delays: float, **values: object) -> list[TaskId]:
    """Hand over so many rows, each due after its delay."""
    new = [NewTask(id=new_task_id(), kind=Kind("echo"), **values) for _ in delays]  # type: ignore[arg-type]
    accepted = {
        row.id: Accepted(AT, AT + timedelta(seconds=delay), due=delay == 0)
        for row, delay in zip(new, delays, strict=True)
    }
    made.submitted(new, accepted)
    return [row.id for row in new]


@asynccontextmanager
async def running(redis: Redis | None, events: list[Event]) -> AsyncIterator[Pushes]:
    made = Pushes(redis, report=events.append)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(made.run())
        yield made
        made.close()


async def test_due_rows_are_pushed_list_by_list_and_of_the_others_it_is_told_when() -> None:
    redis = Redis()
    async with running(redis, []) as made:
        [due, _, _] = submitted(made, 0, 0.5, 0.2)
        [other] = submitted(made, 0, queue=QueueName("other"), priority=9)
        await eventually(lambda: redis.pushed and redis.told)

    assert redis.pushed == [{DEFAULT: [due], ReadyList(QueueName("other"), 9): [other]}]
    assert redis.told == [timedelta(seconds=0.2)]


async def test_what_comes_during_a_push_shares_the_next() -> None:
    redis = Redis()
    redis.gate.clear()
    async with running(redis, []) as made:
        first = submitted(made, 0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second = [*submitted(made, 0), *submitted(made, 0)]
        redis.gate.set()

    assert redis.pushed == [{DEFAULT: first}, {DEFAULT: second}]


async def test_after_a_failure_it_rests_and_then_pushes_what_gathered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pushes, "REST_SECONDS", 0.2)
    redis = Redis()
    redis.up = False
    async with running(redis, []) as made:
        submitted(made, 0)
        await eventually(lambda: redis.pushed)
        later: list[TaskId] = []
        for _ in range(50):
            later += submitted(made, 0)
            await asyncio.sleep(0)
        assert len(redis.pushed) == 1
        redis.up = True
        await eventually(lambda: len(redis.pushed) > 1)

    assert redis.pushed[1:] == [{DEFAULT: later}]


async def test_there_is_a_bound_and_what_goes_over_it_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushes, "MOST_IDS_WAITING", 10)
    redis, events = Redis(), list[Event]()
    redis.gate.clear()
    async with running(redis, events) as made:
        kept = submitted(made, *[0.0] * 25)[:10]
        redis.gate.set()

    assert redis.pushed == [{DEFAULT: kept}]
    [failed] = events
    assert isinstance(failed, PublishFailed)
    assert failed.n == 15


async def test_closing_makes_one_last_try_even_when_redis_is_away() -> None:
    redis = Redis()
    redis.up = False
    async with running(redis, []) as made:
        submitted(made, 0)
        await eventually(lambda: redis.pushed)
        last = submitted(made, 0)

    assert redis.pushed[-1] == {DEFAULT: last}


async def test_without_redis_nothing_is_kept() -> None:
    async with running(None, []) as made:
        submitted(made, 0, 1)

    assert not made._due
