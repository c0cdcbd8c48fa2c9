"""Redis is up and refuses one verb: the rows do its work within two seconds, and health says which."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import httpx2
import pytest

from sluice.db.broker import Broker, ask
from tests.api.support import serving, settings
from tests.outages.conftest import Everything, Own
from tests.support.consuming import FULL
from tests.support.counting import charged, statuses
from tests.support.eventually import eventually
from tests.support.stores import Stores, new

TASKS = 1000 if FULL else 200
WITHIN = 2.0
SLACK = 1.5
"""What a busy machine may add."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an operator did, how it is undone, and the word by which health names it."""

    done: tuple[tuple[str | int, ...], ...]
    undone: tuple[tuple[str | int, ...], ...]
    named: str

    def __str__(self) -> str:
        return " ".join(map(str, self.done[-1]))


def without(*verbs: str, named: str) -> Refusal:
    """Rights to `verbs` are taken from our user."""
    rules = [f"-{verb}" for verb in verbs]
    return Refusal((("ACL", "SETUSER", "default", *rules),), (("ACL", "SETUSER", "default", "+@all"),), named)


FULL_REDIS = Refusal(
    (("CONFIG", "SET", "maxmemory-policy", "noeviction"), ("CONFIG", "SET", "maxmemory", 1)),
    (("CONFIG", "SET", "maxmemory", 0),),
    "LPUSH",
)
NO_MESSAGES = without("publish", named="PUBLISH")
NO_CHANNELS = Refusal(
    (("ACL", "SETUSER", "default", "resetchannels"), ("CLIENT", "KILL", "TYPE", "pubsub")),
    (("ACL", "SETUSER", "default", "allchannels"),),
    "PUBLISH",
)
REFUSALS = [
    FULL_REDIS,
    NO_CHANNELS,
    without("lpush", "rpush", named="LPUSH"),
    without("rpush", named="RPUSH"),
    without("subscribe", named="SUBSCRIBE"),
    without("lmpop", "blmpop", named="LMPOP"),
    without("blmpop", named="BLMPOP"),
    without("expire", named="EXPIRE"),
    without("unlink", named="UNLINK"),
    NO_MESSAGES,
]


@pytest.fixture
async def operator(own: Own) -> AsyncIterator[Broker]:
    """Whoever may do anything to Redis; at the end all of it is undone."""
    broker = Broker(own.urls.redis_url)
    yield broker
    for refusal in REFUSALS:
        for command in refusal.undone:
            await ask(broker.commands, *command)
    await broker.close()


async def _completed(stores: Stores, n: int) -> bool:
    return (await statuses(stores)).get("completed") == n


async def _health(client: httpx2.AsyncClient, status: str, named: str = "") -> bool:
    health = (await client.get("/health")).json()
    return health["status"] == status and named in " ".join(health["reasons"])


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
async def test_what_redis_refuses_is_done_by_the_rows_and_health_says_what(
    everything: Everything, redis_prefix: str, operator: Broker, refusal: Refusal
) -> None:
    own, stores, consumers = everything.own, everything.stores, everything.consumers
    batch = {"tasks": [{"kind": "count"}] * TASKS}
    consumer = await consumers.start(REDIS_URL=own.urls.redis_url)
    async with serving(settings(own.urls, redis_prefix)) as client:
        await eventually(lambda: _health(client, "healthy"))
        began = time.monotonic()
        await client.post("/tasks/batch", json=batch)
        await eventually(lambda: _completed(stores, TASKS))
        undisturbed = time.monotonic() - began
        napping = (await client.post("/tasks", json={"kind": "nap", "payload": {"seconds": 60}})).json()["id"]
        await eventually(lambda: consumers.runs("started"))

        for command in refusal.done:
            await ask(operator.commands, *command)
        began = time.monotonic()
        assert (await client.post("/tasks/batch", json=batch)).status_code == 201
        await eventually(lambda: _completed(stores, 2 * TASKS), timeout=20)
        assert time.monotonic() - began < max(WITHIN, undisturbed / 0.4) + SLACK
        began = time.monotonic()
        assert (await client.patch(f"/tasks/{napping}", json={"status": "canceled"})).status_code == 200
        await eventually(lambda: consumers.runs("canceled"))
        assert time.monotonic() - began < WITHIN + SLACK
        await eventually(lambda: _health(client, "degraded", refusal.named))

        for command in refusal.undone:
            await ask(operator.commands, *command)
        await eventually(lambda: _health(client, "healthy"))
        await client.post("/tasks/batch", json=batch)
        await eventually(lambda: _completed(stores, 3 * TASKS))
        assert await charged(stores) == 0
        assert await statuses(stores) == {"completed": 3 * TASKS, "canceled": 1}
        assert (await consumer.stop())[0] == 0


@pytest.mark.parametrize("refusal", [NO_CHANNELS, NO_MESSAGES], ids=str)
async def test_a_refused_message_holds_no_push_up(
    own: Own, stores: Stores, redis_prefix: str, operator: Broker, refusal: Refusal
) -> None:
    """Nobody pops the list and nobody scans: an id is there because it was pushed."""
    consumer = await stores.consumer(kinds=["echo"])
    async with serving(settings(own.urls, redis_prefix)) as client:
        for command in refusal.done:
            await ask(operator.commands, *command)
        took = []
        for _ in range(3):
            [running] = await stores.claimed(new(), consumer=consumer)
            assert (
                await client.patch(f"/tasks/{running.id}", json={"status": "canceled"})
            ).status_code == 200
            began = time.monotonic()
            task = (await client.post("/tasks", json={"kind": "echo"})).json()["id"]
            await eventually(partial(_listed, stores, task))
            took.append(time.monotonic() - began)
        assert min(took) < 0.5
        assert max(took) < SLACK


async def _listed(stores: Stores, task: str) -> bool:
    return task in await stores.entries()
