"""Redis away in every way, at the start and in the middle, alone and together with PostgreSQL (S4, U4)."""

from __future__ import annotations

from collections import Counter

import pytest

from sluice.db.broker import Broker, ask
from tests.outages.conftest import Everything, Own
from tests.outages.modes import (
    KILLED,
    READONLY,
    REFUSES,
    SILENT,
    SILENT_THEN_CUT,
    STOPPED,
    Mode,
)
from tests.support.consuming import Consumers
from tests.support.counting import charged, completed, payload
from tests.support.eventually import eventually
from tests.support.proxy import Proxy
from tests.support.stores import Stores, new, open_stores

AT_ONCE = 5.0
"""A consumer that waits for Redis to answer does so for some seconds at most, whatever else the machine does."""


@pytest.mark.parametrize("mode", [SILENT_THEN_CUT, KILLED, READONLY], ids=str)
async def test_rows_are_claimed_while_redis_is_away_and_its_lists_are_popped_when_it_is_back(
    everything: Everything, mode: Mode
) -> None:
    """What is submitted meanwhile runs at once, what was listed is not lost, and nothing runs twice."""
    e, stores, consumers = everything, everything.stores, everything.consumers
    end = consumers.file("end")
    consumer = await consumers.start(WORKER_QUEUE_MAXSIZE="4", LEASE_SECONDS="2")
    await stores.submit_and_push(new("nap", payload=payload(until=str(end))) for _ in range(12))
    await eventually(lambda: len(consumers.runs("started")) == 4)
    await mode.leave(e.own, e.redis)
    end.touch()
    await stores.submit(*(new("count") for _ in range(30)))
    await eventually(lambda: completed(stores, 42), timeout=20)
    await mode.come_back(e.own, e.redis)
    await consumer.event("store.back", store="Redis", doing="pull")
    async with open_stores(e.own.urls, stores.keys.prefix) as after:
        await eventually(lambda: _blocks(e.own))
        await after.submit_and_push(new("count") for _ in range(20))
        await eventually(lambda: completed(after, 62), timeout=AT_ONCE)
        assert await charged(after) == 0
    assert set(Counter(run["id"] for run in consumers.runs("started") + consumers.runs("ran")).values()) == {
        1
    }
    assert (await consumer.stop())[0] == 0


@pytest.mark.parametrize("mode", [SILENT, READONLY], ids=str)
async def test_a_consumer_started_without_redis_works_and_returns_by_itself(
    stores: Stores, consumers: Consumers, redis: Proxy, own: Own, mode: Mode
) -> None:
    """Refused connections at the start are tested with the other faults of Redis."""
    await mode.leave(own, redis)
    consumer = await consumers.start()
    await stores.submit(*(new("count") for _ in range(20)))
    await eventually(lambda: completed(stores, 20), timeout=20)
    await mode.come_back(own, redis)
    await consumer.event("store.back", store="Redis", doing="pull")
    await eventually(lambda: _blocks(own))


@pytest.mark.parametrize(
    "modes", [(STOPPED, KILLED), (SILENT, SILENT), (REFUSES, REFUSES)], ids=lambda pair: f"{pair[0]}"
)
@pytest.mark.parametrize("first_back", ["PostgreSQL", "Redis"])
async def test_both_away_and_back_in_either_order(
    everything: Everything, modes: tuple[Mode, Mode], first_back: str
) -> None:
    e, consumers = everything, everything.consumers
    postgresql_is, redis_is = modes
    end = consumers.file("end")
    consumer = await consumers.start(WORKER_QUEUE_MAXSIZE="4", LEASE_SECONDS="2")
    await e.stores.submit_and_push(new("nap", payload=payload(until=str(end))) for _ in range(12))
    await eventually(lambda: len(consumers.runs("started")) == 4)
    await postgresql_is.leave(e.own, e.postgresql)
    await redis_is.leave(e.own, e.redis)
    end.touch()
    await eventually(lambda: len(consumers.runs("ended")) == 4)
    await consumer.event("store.lost", store="PostgreSQL", within=20)
    ways_back = [(postgresql_is, e.postgresql), (redis_is, e.redis)]
    for mode, proxy in ways_back if first_back == "PostgreSQL" else reversed(ways_back):
        await mode.come_back(e.own, proxy)
    async with open_stores(e.own.urls, e.stores.keys.prefix) as after:
        await eventually(lambda: completed(after, 12), timeout=30)
        await after.submit_and_push([new("count")])
        await eventually(lambda: completed(after, 13), timeout=20)
        assert await charged(after) == 0
    assert set(Counter(run["id"] for run in consumers.runs("started")).values()) == {1}
    assert (await consumer.stop())[0] == 0


async def test_both_away_at_the_start(everything: Everything) -> None:
    e, consumers = everything, everything.consumers
    e.postgresql.hang()
    await e.redis.close()
    consumer = await consumers.launch()
    await e.stores.submit(new("count"))
    await consumer.event("store.lost", doing="start", within=20)
    e.postgresql.resume()
    await consumer.event("consumer.started", within=20)
    await eventually(lambda: completed(e.stores, 1), timeout=20)
    await e.redis.open()
    await consumer.event("store.back", store="Redis", doing="pull")


async def test_two_flushes_in_a_row_lose_no_task(stores: Stores, consumers: Consumers) -> None:
    """The second one takes what came after the first, while the rows that it lost are being claimed."""
    consumer = await consumers.start(WORKER_QUEUE_MAXSIZE="10", LEASE_SECONDS="2", LOG_LEVEL="debug")
    n = 2000
    for _ in range(n // 500):
        await stores.submit_and_push(new("nap", payload=payload(seconds=0.01)) for _ in range(500))
    await stores.redis("FLUSHALL")
    await consumer.event("tasks.scanned")
    await stores.submit_and_push(new("nap", payload=payload(seconds=0.01)) for _ in range(500))
    await stores.redis("FLUSHALL")
    await eventually(lambda: completed(stores, n + 500), timeout=40)
    assert await charged(stores) == 0
    assert set(Counter(run["id"] for run in consumers.runs("started")).values()) == {1}


async def _blocks(own: Own) -> bool:
    """Whether a consumer waits at Redis."""
    broker = Broker(own.urls.redis_url)
    clients = bytes(await ask(broker.commands, "CLIENT", "LIST"))
    await broker.close()
    return b"flags=b" in clients
