"""Delayed rows reach their lists when they are due: never early, none left behind, each once (U3 promote)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from random import Random

import pytest

from sluice.consumer.periodic import every
from sluice.consumer.upkeep.promote import Promote, Pushes
from sluice.core.errors import OutcomeUnknown
from sluice.core.ids import new_consumer_id
from sluice.core.task import ReadyList, TaskId
from sluice.core.waiting import Stopping
from tests.support.eventually import eventually
from tests.support.stores import DEFAULT_LIST, ECHO, Stores, list_of, new


@pytest.fixture
async def promote(stores: Stores) -> Promote:
    await stores.upkeep.add_steps([Promote.name])
    await stores.consumer()
    await stores.roster.step()
    return _promote(stores)


def _promote(stores: Stores, ready: Pushes | None = None) -> Promote:
    return Promote(
        store=stores.upkeep,
        ready=ready or stores.ready,
        roster=stores.roster,
        report=stores.events.append,
    )


async def _due_now(stores: Stores) -> None:
    """The next turn is due, whatever the last one said."""
    await stores.sql("UPDATE upkeep SET next_run_at = now()")


async def _turn(stores: Stores, promote: Promote) -> timedelta:
    await _due_now(stores)
    return await promote.step()


async def _fall_due(stores: Stores, *ids: TaskId, ago: float = 0.001) -> None:
    await stores.raw.execute(
        "UPDATE tasks SET run_at = now() - $2 * interval '1 second', "
        "created_at = now() - interval '1 hour' WHERE id = ANY ($1)",
        list(ids),
        ago,
    )


@asynccontextmanager
async def _going(promote: Promote) -> AsyncIterator[None]:
    stopping = Stopping()
    async with asyncio.TaskGroup() as group:
        group.create_task(
            every(Promote.name, promote.step, stopping=stopping, report=lambda _: None, random=Random(7))
        )
        yield
        stopping.request()


async def test_nothing_is_pushed_before_it_is_due(stores: Stores, promote: Promote) -> None:
    soon, late = new(delay=0.3), new(delay=60.0)
    due_at = (await stores.submit(soon, late, new()))[soon.id].run_at

    async def pushed_after() -> list[timedelta]:
        return [await _lateness(stores, due_at)] if await stores.entries() else []

    async with _going(promote):
        [lateness] = await eventually(pushed_after)
        assert timedelta() <= lateness < 1.5 * Promote.period
    assert await stores.entries() == [str(soon.id)]


async def _lateness(stores: Stores, due_at: datetime) -> timedelta:
    late: timedelta = await stores.raw.fetchval("SELECT clock_timestamp() - $1::timestamptz", due_at)
    return late


async def test_due_rows_go_to_their_lists_in_the_order_in_which_they_fell_due(
    stores: Stores, promote: Promote
) -> None:
    tasks = [new(delay=60.0) for _ in range(3)]
    urgent = new(delay=60.0, priority=9)
    await stores.submit(*tasks, urgent)
    for ago, task in zip((3.0, 9.0, 6.0), tasks, strict=True):
        await _fall_due(stores, task.id, ago=ago)
    await _fall_due(stores, urgent.id)
    await _turn(stores, promote)
    order = [tasks[1], tasks[2], tasks[0]]
    assert await stores.ready.pop([DEFAULT_LIST], 9) == (DEFAULT_LIST, [task.id for task in order])
    high = list_of(priority=9)
    assert await stores.ready.pop([high], 9) == (high, [urgent.id])


async def test_rows_that_were_never_delayed_are_not_its_business(stores: Stores, promote: Promote) -> None:
    await stores.submit(new())
    canceled = new(delay=60.0)
    await stores.submit(canceled)
    await stores.tasks.cancel(canceled.id)
    await _fall_due(stores, canceled.id)
    await _turn(stores, promote)
    assert await stores.entries() == []


async def test_a_row_is_pushed_once_by_the_turns_that_see_it_again(stores: Stores, promote: Promote) -> None:
    task = new(delay=60.0)
    await stores.submit(task)
    await _fall_due(stores, task.id)
    for _ in range(4):
        await _turn(stores, promote)
    assert await stores.entries() == [str(task.id)]


async def test_sixteen_processes_push_each_row_once(stores: Stores, promote: Promote) -> None:
    """Whoever takes the next turn goes on behind the cursor, not before it."""
    tasks = [new(delay=60.0) for _ in range(100)]
    await stores.submit(*tasks)
    fleet = [_promote(stores) for _ in range(16)]
    for at, task in enumerate(tasks):
        await _fall_due(stores, task.id)
        await _turn(stores, fleet[at % 16])
    assert sorted(await stores.entries()) == sorted(str(task.id) for task in tasks)


class _Away:
    """A Redis that takes nothing."""

    async def push(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> None:  # noqa: ARG002
        raise OutcomeUnknown("Redis", "away")


async def test_the_cursor_stays_when_the_push_fails(stores: Stores, promote: Promote) -> None:
    task = new(delay=60.0)
    await stores.submit(task)
    await _fall_due(stores, task.id, ago=30.0)
    failing = _promote(stores, _Away())
    await _due_now(stores)
    with pytest.raises(OutcomeUnknown):
        await failing.step()
    assert await stores.raw.fetchval("SELECT cursor IS NULL FROM upkeep")
    await _turn(stores, promote)
    assert await stores.entries() == [str(task.id)]


async def test_a_full_chunk_is_followed_at_once_and_none_is_left_out(
    stores: Stores, promote: Promote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them share one run_at: the walk goes by id within it."""
    monkeypatch.setattr("sluice.consumer.upkeep.promote.CHUNK", 7)
    tasks = [new(delay=60.0) for _ in range(20)]
    await stores.submit(*tasks)
    await _fall_due(stores, *(task.id for task in tasks), ago=10.0)
    waits = [await _turn(stores, promote) for _ in range(3)]
    assert [wait < timedelta(milliseconds=10) for wait in waits] == [True, True, False]
    assert sorted(await stores.entries()) == sorted(str(task.id) for task in tasks)


async def test_another_process_goes_on_where_this_one_stopped(stores: Stores, promote: Promote) -> None:
    first, second = new(delay=60.0), new(delay=60.0)
    await stores.submit(first, second)
    await _fall_due(stores, first.id, ago=30.0)
    await _turn(stores, promote)
    await stores.claims.claim([first.id], consumer=new_consumer_id(), kinds=[ECHO])
    await _fall_due(stores, second.id)
    await _turn(stores, _promote(stores))
    assert await stores.entries() == [str(second.id), str(first.id)]


async def test_only_one_process_pushes_in_a_turn(stores: Stores, promote: Promote) -> None:
    tasks = [new(delay=60.0) for _ in range(50)]
    await stores.submit(*tasks)
    await _fall_due(stores, *(task.id for task in tasks), ago=30.0)
    await asyncio.gather(*(_promote(stores).step() for _ in range(6)))
    assert len(await stores.entries()) == 50
