"""/health, /livez and /readyz."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx2
import pytest

from sluice.api.health import LOOK
from sluice.cli.embedded import Urls
from sluice.core.ids import new_consumer_id
from sluice.core.task import Kind, QueueName
from sluice.db.browse import Browse
from sluice.db.consumers import Registration
from tests.api.support import PROBLEM, serving, settings
from tests.support.eventually import eventually
from tests.support.slowness import slowness
from tests.support.stores import Stores


async def test_health_tells_of_consumers_whose_lease_is_live_and_of_queues(
    client: httpx2.AsyncClient, stores: Stores
) -> None:
    alive, dead = new_consumer_id(), new_consumer_id()
    for consumer, lease in ((alive, timedelta(seconds=60)), (dead, timedelta(0))):
        facts = Registration(
            "host-1", 4711, [QueueName("mail"), QueueName("idle")], [Kind("echo")], 100, lease
        )
        await stores.consumers.register(consumer, facts)
    await stores.consumers.beat(alive, 7)
    await client.post("/tasks/batch", json={"tasks": [{"message": "x", "queue": "mail"}] * 3})
    await client.post("/tasks/batch", json={"tasks": [{"message": "x", "queue": "unserved"}] * 10_000})
    await client.post("/tasks", json={"message": "x", "queue": "unserved"})

    async def looked_again() -> bool:
        counted = (await client.get("/health")).json()["queues"]
        return len(counted) == 3 and counted["unserved"]["depth"] == 10_000

    await eventually(looked_again)
    response = await client.get("/health")

    health = response.json()
    assert response.status_code == 200
    assert list(health) == [
        *("status", "database", "redis", "reasons", "warnings"),
        *("consumers", "queues", "unnamed_queues", "unserved_queues"),
    ]
    assert (health["status"], health["database"], health["redis"]) == ("healthy", "up", "up")
    assert {name: queue["depth"] for name, queue in health["queues"].items()} == {
        "idle": 0,
        "mail": 3,
        "unserved": 10_000,
    }
    for queue in health["queues"].values():
        assert datetime.now(UTC) - datetime.fromisoformat(queue["counted_at"]) < timedelta(minutes=1)
    assert (health["reasons"], health["unnamed_queues"]) == ([], 0)
    assert health["unserved_queues"] == ["unserved"]
    assert health["warnings"] == [
        "queue unserved holds at least 10,000 tasks and no live consumer serves it: start one with QUEUES=unserved"
    ]
    [consumer] = health["consumers"]
    assert datetime.now(UTC) - datetime.fromisoformat(consumer.pop("beat_at")) < timedelta(minutes=1)
    assert consumer == {
        "id": str(alive),
        "host": "host-1",
        "pid": 4711,
        "queues": ["mail", "idle"],
        "kinds": ["echo"],
        "unnamed_kinds": 0,
        "running": 7,
        "capacity": 100,
    }


async def test_health_is_at_most_a_second_old(client: httpx2.AsyncClient) -> None:
    await client.get("/health")
    await client.post("/tasks", json={"message": "x", "queue": "fresh"})
    submitted = time.monotonic()

    async def shown() -> bool:
        return "fresh" in (await client.get("/health")).json()["queues"]

    await eventually(shown, timeout=5)
    assert time.monotonic() - submitted < 2


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often anybody has looked at the consumers."""
    look, last = Browse.consumers, 0

    async def counted(self: Browse) -> object:
        nonlocal last
        last += 1
        return await look(self)

    monkeypatch.setattr(Browse, "consumers", counted)
    return lambda: last


async def test_health_looks_once_a_second_however_often_it_is_asked(
    client: httpx2.AsyncClient, looks: Callable[[], int]
) -> None:
    began = time.monotonic()
    for _ in range(50):
        await client.get("/health")

    assert 1 <= looks() <= 2 + (time.monotonic() - began)


async def test_the_first_answer_of_an_api_waits_for_no_connection(
    urls: Urls, redis_prefix: str, looks: Callable[[], int]
) -> None:
    took = []
    for _ in range(5):
        before = looks()
        async with serving(settings(urls, redis_prefix)) as client:
            await client.get("/livez")
            assert looks() == before + 1, "it looked before anybody asked"
            began = time.monotonic()
            assert (await client.get("/health")).json()["status"] == "healthy"
            took.append(time.monotonic() - began)
    assert min(took) < 0.1 * slowness()


@pytest.mark.parametrize("trouble", ["hangs", "fails"])
async def test_a_first_look_that_hangs_or_fails_keeps_no_api_from_its_start(
    urls: Urls, redis_prefix: str, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    async def look(_: Browse) -> None:
        if trouble == "fails":
            raise RuntimeError("nobody expected this")
        await asyncio.sleep(3600)

    monkeypatch.setattr(Browse, "consumers", look)
    began = time.monotonic()
    async with serving(settings(urls, redis_prefix)) as client:
        assert (await client.get("/livez")).status_code == 200
        assert time.monotonic() - began < LOOK.total_seconds()
        assert (await client.post("/tasks", json={"message": "x"})).status_code == 201


@pytest.mark.parametrize("verb", ["queues", "depths", "waiting_kinds"])
async def test_a_count_that_takes_too_long_is_no_outage(
    client: httpx2.AsyncClient, stores: Stores, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    asked = asyncio.Event()

    async def hang(*_: object) -> None:
        asked.set()
        await asyncio.sleep(3600)

    await stores.consumer()
    await client.post("/tasks", json={"message": "x", "queue": "mail"})

    async def counted() -> bool:
        queues = (await client.get("/health")).json()["queues"]
        return "mail" in queues and queues["mail"]["depth"] == 1

    await eventually(counted)
    monkeypatch.setattr(Browse, verb, hang)

    async def answered() -> bool:
        began = time.monotonic()
        response = await client.get("/health")
        assert response.status_code == 200, response.text
        assert time.monotonic() - began < 1.5
        assert response.json()["queues"]["mail"]["depth"] == 1
        return asked.is_set()

    await eventually(answered)


async def test_without_redis_by_choice_all_is_well(database_url: str, redis_prefix: str) -> None:
    urls = Urls(database_url=database_url, redis_url="")
    async with serving(settings(urls, redis_prefix)) as client:
        health = (await client.get("/health")).json()
        assert (health["status"], health["redis"]) == ("healthy", "disabled")
        assert (await client.post("/tasks", json={"message": "x"})).status_code == 201


async def test_livez_and_readyz_say_so(shared: httpx2.AsyncClient) -> None:
    live, ready = await shared.get("/livez"), await shared.get("/readyz")

    assert (live.status_code, live.json()) == (200, {"status": "alive"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})


@asynccontextmanager
async def schema_at(stores: Stores, revision: str | None) -> AsyncIterator[None]:
    """Says so for a while; None: it was never migrated."""
    before = await stores.raw.fetch("DELETE FROM sluice_version RETURNING version_num")
    try:
        if revision is not None:
            await stores.raw.execute("INSERT INTO sluice_version (version_num) VALUES ($1)", revision)
        yield
    finally:
        await stores.raw.execute("DELETE FROM sluice_version")
        await stores.raw.executemany("INSERT INTO sluice_version (version_num) VALUES ($1)", before)


async def test_readyz_says_which_command_mends_the_schema(client: httpx2.AsyncClient, stores: Stores) -> None:
    async with schema_at(stores, None):
        response = await client.get("/readyz")

    assert response.status_code == 503
    assert response.headers["content-type"] == PROBLEM
    assert "sluice migrate" in response.json()["detail"]
    assert (await client.get("/livez")).status_code == 200


async def test_a_migration_ahead_of_this_code_takes_it_out_of_no_traffic(
    client: httpx2.AsyncClient, stores: Stores
) -> None:
    async with schema_at(stores, "0999"):
        assert (await client.get("/readyz")).status_code == 200
    async with schema_at(stores, "9999"):  # of another major: the start refuses it as well
        assert (await client.get("/readyz")).status_code == 503


async def test_readyz_says_which_right_was_taken_from_the_role(urls: Urls, stores: Stores) -> None:
    role = f"api_{uuid4().hex}"
    await stores.raw.execute(f"CREATE ROLE {role} LOGIN")
    try:
        await stores.raw.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
        url = urls.database_url.replace("postgres@", f"{role}@", 1)
        async with serving(settings(Urls(url, urls.redis_url), "rights")) as client:
            assert (await client.get("/readyz")).status_code == 200
            await stores.raw.execute(f"REVOKE INSERT ON tasks FROM {role}")
            response = await client.get("/readyz")
            assert (await client.get("/livez")).status_code == 200
    finally:
        await stores.raw.execute(f"DROP OWNED BY {role}")
        await stores.raw.execute(f"DROP ROLE {role}")

    assert response.status_code == 503
    assert "may not use tasks: grant it" in response.json()["detail"]
