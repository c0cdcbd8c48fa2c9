"""A drain goes on beside what PostgreSQL refuses, and whatever ends it early ends the process too (C3 drain)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from sluice.core.task import TaskId
from tests.support.consuming import Consumers
from tests.support.counting import payload, statuses
from tests.support.eventually import eventually
from tests.support.proxy import Proxy, proxied
from tests.support.stores import Stores, new

GRACE = 1.0


@asynccontextmanager
async def kept(stores: Stores, task_id: TaskId) -> AsyncIterator[None]:
    """A trigger of the user's that lets this task not become pending again."""
    await stores.raw.execute(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'it has begun'; END $$;"
        "CREATE TRIGGER keep BEFORE UPDATE ON tasks FOR EACH ROW "
        f"WHEN (OLD.id = '{task_id}' AND NEW.status = 'pending') EXECUTE FUNCTION keep()"
    )
    try:
        yield
    finally:
        await stores.raw.execute("DROP TRIGGER keep ON tasks; DROP FUNCTION keep()")


async def _two_threads(stores: Stores, consumers: Consumers) -> Sequence[TaskId]:
    """Two handlers that hear of nothing are running."""
    never = payload(until=str(consumers.file("never")))
    ids = await stores.submit_and_push([new("thread", payload=never) for _ in range(2)])
    await eventually(lambda: len(consumers.runs("started")) == 2)
    return ids


async def test_a_row_that_a_trigger_keeps_stays_alone_and_the_process_ends_in_time(
    stores: Stores, consumers: Consumers
) -> None:
    """The error left the drain: the process waited for the handler's thread for ever, and its beat went on."""
    consumer = await consumers.start(DRAIN_SECONDS="0.5")
    await stores.heard()
    refused, neighbour = await _two_threads(stores, consumers)
    async with kept(stores, refused):
        status, seconds = await consumer.stop()
        assert status == 1
        assert seconds < 0.5 + GRACE
        assert (await stores.get(neighbour)).status == "pending"
        assert await statuses(stores) == {"processing": 1, "pending": 1}
    told = await consumer.event("step.failed", step="drain")
    assert told["reason"] == f"task {refused} is refused: it has begun"
    await eventually(lambda: any("take the rows of 1 tasks back" in line for line in consumer.said))


async def test_an_error_that_nobody_expects_ends_the_process_in_time_with_its_traceback(
    stores: Stores, consumers: Consumers
) -> None:
    """It too had the process wait for a handler's thread while its beat renewed the lease."""
    consumer = await consumers.start(HANDLERS="tests.support.broken_drain", DRAIN_SECONDS="0.5")
    await _two_threads(stores, consumers)
    status, seconds = await consumer.stop()
    assert status == 1
    assert seconds < 0.5 + GRACE
    told = await consumer.event("step.failed", step="consumer")
    assert "nobody expects this" in told["traceback"]


@pytest.mark.parametrize("drain", [0.0, 0.3])
async def test_two_silent_stores_and_a_claim_in_flight_hold_up_no_drain(
    stores: Stores, consumers: Consumers, redis_proxy: Proxy, postgresql_proxy: Proxy, drain: float
) -> None:
    """Each act waited for its own answer, and all of them together for a second and more."""
    consumer = await consumers.start(
        REDIS_URL=redis_proxy.url, DATABASE_URL=postgresql_proxy.url, DRAIN_SECONDS=str(drain)
    )
    await stores.heard()
    await _two_threads(stores, consumers)
    claiming = asyncio.Event()

    def look(sent: bytes) -> None:
        if more.id.bytes in sent:
            postgresql_proxy.hang()
            redis_proxy.hang()
            claiming.set()

    more = new("count")
    postgresql_proxy.on_sent = look
    await stores.submit_and_push([more])
    await claiming.wait()
    status, seconds = await consumer.stop()
    assert status == 1
    assert seconds < drain + GRACE


@pytest.fixture
async def redis_proxy(redis_url: str) -> AsyncIterator[Proxy]:
    """What the consumer takes for Redis."""
    async with proxied(redis_url) as proxy:
        yield proxy


@pytest.fixture
async def postgresql_proxy(database_url: str) -> AsyncIterator[Proxy]:
    """The same for PostgreSQL."""
    async with proxied(database_url) as proxy:
        yield proxy
