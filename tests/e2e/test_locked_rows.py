"""A row that somebody else holds locked waits alone: its neighbours are written, claimed and given back (R5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sluice.core.task import TaskId
from tests.support.consuming import Consumers
from tests.support.counting import payload, statuses
from tests.support.eventually import eventually
from tests.support.stores import Stores, new


@asynccontextmanager
async def held(stores: Stores, ids: Sequence[TaskId]) -> AsyncIterator[None]:
    """These rows, locked by a transaction that somebody forgot."""
    async with stores.raw.transaction():
        await stores.raw.execute("SELECT FROM tasks WHERE id = ANY ($1) FOR UPDATE", list(ids))
        yield


async def test_a_locked_row_holds_up_neither_the_outcomes_beside_it_nor_new_tasks(
    stores: Stores, consumers: Consumers
) -> None:
    """A thousand and more outcomes stayed unwritten, then claims stopped, for as long as it was locked."""
    consumer = await consumers.start(WORKER_QUEUE_MAXSIZE="20")
    go = consumers.file("go")
    [locked, *others] = await stores.submit_and_push(
        [new("nap", payload=payload(until=str(go))) for _ in range(5)]
    )
    await eventually(lambda: len(consumers.runs("started")) == 5)
    async with held(stores, [locked]):
        go.touch()
        more = await stores.submit_and_push([new("count") for _ in range(1500)])
        async with asyncio.timeout(20):
            await eventually(lambda: _completed(stores, len(others) + len(more)), timeout=20)
        assert consumer.events("tasks.locked", n=1)
        assert len(consumer.events("tasks.locked")) == 1
        assert not consumer.events("store.lost")
    await eventually(lambda: _completed(stores, 1 + len(others) + len(more)))
    row = await stores.get(locked)
    assert (row.attempt, row.crashes, len(consumers.runs("ended", id=str(locked)))) == (1, 0, 1)


async def test_a_drain_gives_the_neighbours_of_a_locked_row_back_and_says_what_it_leaves(
    stores: Stores, consumers: Consumers
) -> None:
    consumer = await consumers.start(DRAIN_SECONDS="0.5")
    never = consumers.file("never")
    ids = await stores.submit_and_push([new("thread", payload=payload(until=str(never))) for _ in range(5)])
    await eventually(lambda: len(consumers.runs("started")) == 5)
    async with held(stores, ids[:1]):
        status, seconds = await consumer.stop()
        assert status == 1
        assert seconds < 2
        assert await statuses(stores) == {"processing": 1, "pending": 4}
    assert any("holds the rows of 1 tasks locked" in line for line in consumer.said)
    assert await stores.raw.fetchval("SELECT max(attempt) FROM tasks WHERE status = 'pending'") == 0


async def _completed(stores: Stores, n: int) -> bool:
    return (await statuses(stores)).get("completed") == n
