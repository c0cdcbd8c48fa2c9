"""Whatever somebody leaves in Redis under our names: it is removed and counted, and tasks go on (S1 entries)."""

from __future__ import annotations

import os
from random import Random

import httpx2
import pytest

from sluice.core.ids import new_task_id
from sluice.core.task import PRIORITIES
from tests.support.consuming import Consumers
from tests.support.eventually import eventually
from tests.support.stores import Stores

TYPES: dict[str, tuple[str | bytes, ...]] = {
    "a text": ("SET", "x"),
    "a number": ("INCR",),
    "a hash": ("HSET", "a", "b"),
    "a set": ("SADD", "a"),
    "a sorted set": ("ZADD", "1", "a"),
    "a stream": ("XADD", "*", "a", "b"),
    "a bitmap": ("SETBIT", "100000", "1"),
    "counted distinct": ("PFADD", "a"),
    "a list of anything": ("LPUSH", b"", b"\xff\xfe", b"x" * (10 << 20), b"0" * 36, b"null", b"{}"),
}


async def ran(stores: Stores, consumers: Consumers, client: httpx2.AsyncClient, n: int = 5) -> None:
    """Tasks that are submitted now run."""
    ids = set()
    for priority in range(n):
        response = await client.post("/tasks", json={"kind": "count", "priority": priority})
        assert response.status_code == 201
        ids.add(response.json()["id"])
    await eventually(lambda: {run["id"] for run in consumers.runs("ran")} >= ids, timeout=15)


@pytest.mark.parametrize("what", TYPES)
async def test_every_key_of_ours_may_hold_anything(
    stores: Stores, consumers: Consumers, client: httpx2.AsyncClient, what: str
) -> None:
    consumer = await consumers.start(LEASE_SECONDS="2")
    verb, *words = TYPES[what]
    for priority in PRIORITIES:
        key = stores.keys.ready(await stores.heard(priority, kind="count"))
        await stores.redis("UNLINK", key)
        await stores.redis(verb, key, *words)
    await ran(stores, consumers, client)
    assert (await client.get("/health")).json()["status"] == "healthy"
    assert consumer.events("step.failed") == []
    await eventually(lambda: consumer.events("redis.garbage"))


async def test_a_flood_of_messages_and_entries_that_mean_nothing_keeps_nobody_busy(
    stores: Stores, consumers: Consumers, client: httpx2.AsyncClient
) -> None:
    consumer = await consumers.start(LEASE_SECONDS="2")
    random = Random(7)
    key = stores.keys.ready(await stores.heard(kind="count"))
    pipeline = stores.broker.commands.pipeline(transaction=False)
    for _ in range(3000):
        noise = random.randbytes(random.randrange(200))
        stranger = f"{new_task_id()} {random.randrange(-5, 1 << 70)}"
        for words in (noise, stranger, random.choice(["nan", "-1", "1e999", "0.5", "", "0"])):
            _ = pipeline.publish(stores.keys.cancels, words)
        _ = pipeline.lpush(key, noise, str(new_task_id()))
    _ = pipeline.publish(stores.keys.cancels, os.urandom(5 << 20))
    await pipeline.execute()
    await ran(stores, consumers, client)
    assert consumer.events("step.failed") == consumer.events("store.lost") == []
    assert (await consumer.stop())[0] == 0
