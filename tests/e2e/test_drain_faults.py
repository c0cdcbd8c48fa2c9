"""SIGTERM while a store is silent or gone: out in time every time, and honest about what is left (C3 drain)."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator

import pytest

from sluice.cli.embedded import Urls
from tests.support.consuming import Consumers
from tests.support.counting import charged, completed, payload, statuses
from tests.support.eventually import eventually
from tests.support.proxy import Proxy, proxied
from tests.support.stores import Stores, new

GRACE = 1.0


@pytest.fixture
async def redis(urls: Urls) -> AsyncIterator[Proxy]:
    """What consumers take for Redis."""
    async with proxied(urls.redis_url) as proxy:
        yield proxy


@pytest.fixture
async def postgresql(urls: Urls) -> AsyncIterator[Proxy]:
    """What consumers take for PostgreSQL."""
    async with proxied(urls.database_url) as proxy:
        yield proxy


@pytest.mark.parametrize("drain", [0.0, 0.5])
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
async def test_a_redis_that_hangs_holds_up_no_drain(
    stores: Stores, consumers: Consumers, redis: Proxy, busy: bool, drain: float
) -> None:
    waiting = asyncio.Event()
    redis.on_sent = lambda data: waiting.set() if b"BLMPOP" in data else None
    consumer = await consumers.start(REDIS_URL=redis.url, DRAIN_SECONDS=str(drain), WORKER_QUEUE_MAXSIZE="2")
    tasks = [new("nap", payload=payload(until=str(consumers.file("end")))) for _ in range(2)]
    if busy:
        await stores.submit_and_push(tasks)
        await eventually(lambda: len(consumers.runs("started")) == 2)
    else:
        await waiting.wait()
    redis.hang()
    status, seconds = await consumer.stop()
    assert status == 0
    assert seconds < drain + GRACE
    assert await stores.browse.consumers() == []
    if busy:
        assert await statuses(stores) == {"pending": 2}
        assert await charged(stores) == 0
        consumers.file("end").touch()
        await consumers.start(LEASE_SECONDS="1")
        await eventually(lambda: completed(stores, 2), timeout=15)


async def test_a_redis_that_is_gone_holds_up_no_drain(
    stores: Stores, consumers: Consumers, redis: Proxy
) -> None:
    consumer = await consumers.start(REDIS_URL=redis.url, DRAIN_SECONDS="0")
    await stores.submit_and_push([new("nap", payload=payload(seconds=60))])
    await eventually(lambda: consumers.runs("started"))
    await redis.close()
    status, seconds = await consumer.stop()
    assert status == 0
    assert seconds < GRACE
    assert await statuses(stores) == {"pending": 1}


@pytest.mark.parametrize("gone", [False, True], ids=["silent", "gone"])
async def test_without_postgresql_it_is_out_in_time_and_says_how_many_tasks_it_leaves(
    stores: Stores, consumers: Consumers, postgresql: Proxy, gone: bool
) -> None:
    consumer = await consumers.start(
        DATABASE_URL=postgresql.url, DRAIN_SECONDS="0.5", LEASE_SECONDS="2", WORKER_QUEUE_MAXSIZE="5"
    )
    await stores.submit_and_push(
        new("nap", payload=payload(until=str(consumers.file("end")))) for _ in range(3)
    )
    await eventually(lambda: len(consumers.runs("started")) == 3)
    if gone:
        await postgresql.close()
    else:
        postgresql.hang()
    status, seconds = await consumer.stop()
    assert status == 1
    assert seconds < 0.5 + GRACE
    [said] = consumer.said
    why, _, left = said.partition("; ")
    assert why == "sluice consumer: PostgreSQL did not answer while stopping"
    # A look that is under way may have taken a task for each free slot.
    assert re.fullmatch("other consumers will recover 3( to 5)? tasks", left)
    assert await statuses(stores) == {"processing": 3}
    consumers.file("end").touch()
    await consumers.start(LEASE_SECONDS="1")
    await eventually(lambda: completed(stores, 3), timeout=20)


async def test_an_outcome_that_could_not_be_written_is_written_when_postgresql_is_back_in_time(
    stores: Stores, consumers: Consumers, postgresql: Proxy
) -> None:
    consumer = await consumers.start(DATABASE_URL=postgresql.url, DRAIN_SECONDS="10")
    await stores.submit_and_push([new("nap", payload=payload(until=str(consumers.file("end"))))])
    await eventually(lambda: consumers.runs("started"))
    await postgresql.close()
    consumer.send(signal.SIGTERM)
    consumers.file("end").touch()
    await consumer.event("store.lost", doing="complete")
    began = time.monotonic()
    await postgresql.open()
    assert await consumer.ended(within=12) == 0
    assert time.monotonic() - began < 10 + GRACE
    assert await statuses(stores) == {"completed": 1}
    assert await charged(stores) == 0
