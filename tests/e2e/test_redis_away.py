"""Without Redis the work goes on, and Redis is used again by itself when it is back (S4 no Redis)."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from sluice.cli.embedded import Servers, Urls
from tests.support.consuming import OURS, Consumers
from tests.support.counting import charged, completed, payload, statuses
from tests.support.eventually import eventually
from tests.support.proxy import proxied
from tests.support.stores import Stores, new, open_stores


async def test_without_any_redis_every_task_runs_once(stores: Stores, consumers: Consumers) -> None:
    first, second = [await consumers.start(REDIS_URL="", WORKER_QUEUE_MAXSIZE="10") for _ in range(2)]
    end = consumers.file("end")
    naps = [new("nap", payload=payload(until=str(end))) for _ in range(15)]
    await stores.submit(*naps)
    await eventually(lambda: len(consumers.runs("started")) == 15)
    assert max(run["running"] for run in consumers.runs("started")) <= 10
    end.touch()
    await stores.submit(*(new("count", priority=at % 10) for at in range(500)))
    delayed = new("count", delay=0.5)
    await stores.submit(delayed)
    await eventually(lambda: completed(stores, 516), timeout=20)
    assert set(Counter(run["id"] for run in consumers.runs("ran")).values()) == {1}
    row = await stores.get(delayed.id)
    assert row.started_at is not None
    assert row.started_at >= row.run_at
    assert await charged(stores) == 0
    assert [(await consumer.stop())[0] for consumer in (first, second)] == [0, 0]


async def test_without_any_redis_a_drain_gives_back_and_a_failed_try_is_retried(
    stores: Stores, consumers: Consumers
) -> None:
    first = await consumers.start(REDIS_URL="", DRAIN_SECONDS="0.2")
    end = consumers.file("end")
    fails_once = new("fail", payload=payload(times=1))
    await stores.submit(*(new("nap", payload=payload(until=str(end))) for _ in range(3)))
    await eventually(lambda: len(consumers.runs("started")) == 3)
    assert (await first.stop())[0] == 0
    assert await statuses(stores) == {"pending": 3}
    await stores.submit(fails_once)
    end.touch()
    await consumers.start(REDIS_URL="")
    await eventually(lambda: completed(stores, 4))
    assert (await stores.get(fails_once.id)).attempt == 2


@pytest.fixture
async def own_valkey(run_directory: Path) -> AsyncIterator[tuple[Servers, str]]:
    """A Valkey that a test may kill."""
    root = run_directory / f"valkey-{uuid4().hex[:8]}"
    root.mkdir()
    root.chmod(0o711)
    servers = Servers(root, ephemeral=True, postgres=False)
    async with servers as urls:
        yield servers, urls.redis_url


async def test_a_redis_that_is_killed_and_comes_back_empty_loses_no_task(
    urls: Urls, redis_prefix: str, consumers: Consumers, own_valkey: tuple[Servers, str]
) -> None:
    servers, redis_url = own_valkey
    async with open_stores(Urls(database_url=urls.database_url, redis_url=redis_url), redis_prefix) as stores:
        consumer = await consumers.start(REDIS_URL=redis_url, WORKER_QUEUE_MAXSIZE="4", LEASE_SECONDS="1")
        listed = [new("nap", payload=payload(seconds=0.02)) for _ in range(120)]
        await stores.submit_and_push(listed)
        await eventually(lambda: len(consumers.runs("ended")) > 10)

        await servers.valkey.kill()
        await consumer.event("store.lost", store="Redis")
        while_away = [new("count") for _ in range(50)]
        await stores.submit(*while_away)
        await eventually(lambda: len(consumers.runs("ran")) == 50, timeout=15)

        servers.valkey.forget()
        await servers.valkey.start()
        await consumer.event("store.back", store="Redis", doing="pull")
        await stores.submit_and_push(new("count") for _ in range(20))
        await eventually(lambda: completed(stores, 190), timeout=15)
        await eventually(lambda: _blocks(stores))
        assert await charged(stores) == 0
        assert set(Counter(run["id"] for run in consumers.runs("ran")).values()) == {1}
        assert (await consumer.stop())[0] == 0


async def test_a_redis_that_dies_is_left_for_the_rows_while_a_handler_blocks_the_loop_again_and_again(
    urls: Urls, redis_prefix: str, consumers: Consumers, own_valkey: tuple[Servers, str]
) -> None:
    """A loop that stands still excuses no store for long: what it is blamed for must not keep others waiting."""
    servers, redis_url = own_valkey
    async with open_stores(Urls(database_url=urls.database_url, redis_url=redis_url), redis_prefix) as stores:
        consumer = await consumers.start(REDIS_URL=redis_url, WORKER_QUEUE_MAXSIZE="2")
        end = consumers.file("end")
        await stores.heard()
        await stores.submit_and_push([new("stutter", payload=payload(until=str(end)))])
        await eventually(lambda: len(consumers.runs("started")) == 1)

        await servers.valkey.kill()
        await stores.submit(*(new("count") for _ in range(5)))
        await eventually(lambda: len(consumers.runs("ran")) == 5, timeout=30)
        await consumer.event("store.lost", store="Redis", doing="pull", within=15)
        assert await statuses(stores) == {"processing": 1, "completed": 5}
        end.touch()
        await eventually(lambda: completed(stores, 6), timeout=15)
        servers.valkey.forget()
        await servers.valkey.start()


async def _blocks(stores: Stores) -> bool:
    """Whether the consumer waits at Redis again."""
    return b"flags=b" in bytes(await stores.redis("CLIENT", "LIST"))


async def test_a_redis_that_hangs_is_left_for_the_rows_and_returned_to(
    stores: Stores, consumers: Consumers, urls: Urls
) -> None:
    async with proxied(urls.redis_url) as proxy:
        consumer = await consumers.start(REDIS_URL=proxy.url)
        await stores.submit_and_push([new("count")])
        await eventually(lambda: completed(stores, 1))
        proxy.hang()
        await stores.submit(*(new("count") for _ in range(20)))
        await eventually(lambda: completed(stores, 21), timeout=15)
        await consumer.event("store.lost", store="Redis", doing="pull")  # rows may bring all before
        proxy.resume()
        await consumer.event("store.back", store="Redis", doing="pull")
        await stores.submit_and_push(new("count") for _ in range(20))
        await eventually(lambda: completed(stores, 41))
        assert (await consumer.stop())[0] == 0


async def test_redis_away_at_the_start_is_no_reason_not_to_start(
    stores: Stores, consumers: Consumers, urls: Urls
) -> None:
    async with proxied(urls.redis_url) as proxy:
        await proxy.close()
        consumer = await consumers.start(REDIS_URL=proxy.url)
        await stores.submit(new("count"))
        await eventually(lambda: completed(stores, 1))
        await proxy.open()
        await consumer.event("store.back", store="Redis", doing="pull")


async def test_a_flushed_redis_loses_no_task(stores: Stores, consumers: Consumers) -> None:
    end = consumers.file("end")
    await consumers.start(WORKER_QUEUE_MAXSIZE="2", LEASE_SECONDS="1")
    await stores.submit_and_push(new("nap", payload=payload(until=str(end))) for _ in range(20))
    await eventually(lambda: len(consumers.runs("started")) == 2)
    await stores.redis("UNLINK", stores.keys.ready(OURS))
    await stores.redis("SET", stores.keys.ready(OURS), "not a list")
    end.touch()
    await eventually(lambda: completed(stores, 20), timeout=15)
    assert await charged(stores) == 0
