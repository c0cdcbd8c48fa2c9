"""PostgreSQL and Redis refuse, fall silent and come back: who waits for whom, how long, and what is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from sluice.api.submit import kinds
from sluice.cli.embedded import Urls
from sluice.core.task import Kind
from sluice.db.broker import COMMAND_SECONDS
from sluice.db.consumers import ServedKind
from tests.api.support import PROBLEM, Gate, serving, settings
from tests.support.eventually import eventually
from tests.support.stores import Stores

TIMEOUT = 2.0
SLACK = 0.7
"""What a busy machine may add."""


@dataclass
class Cut:
    """An API whose stores lie behind gates."""

    client: httpx2.AsyncClient
    postgres: Gate
    redis: Gate


@pytest.fixture
async def cut(urls: Urls, redis_prefix: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cut]:
    found = urlsplit(urls.database_url)
    place = parse_qs(found.query).get("host", [""])[0]
    if not place.startswith("/") or not urls.redis_url.startswith("unix:"):
        pytest.fail(
            "the gates need servers on Unix sockets: run without SLUICE_TEST_DATABASE_URL and _REDIS_URL"
        )
    here = tmp_path_factory.mktemp("g", numbered=True)
    postgres = Gate(here / ".s.PGSQL.5432", str(Path(place) / ".s.PGSQL.5432"))
    redis = Gate(here / "r.sock", urlsplit(urls.redis_url).path)
    gated = Urls(
        database_url=f"postgresql://{found.username}@{found.path}?host={here}&port=5432",
        redis_url=f"unix://{here / 'r.sock'}",
    )
    async with postgres, redis, serving(settings(gated, redis_prefix)) as client:
        yield Cut(client, postgres, redis)


async def timed(request: Any) -> tuple[httpx2.Response, float]:
    began = time.monotonic()
    return await request, time.monotonic() - began


def requests(client: httpx2.AsyncClient) -> list[Any]:
    """One of each that needs PostgreSQL."""
    some = "/tasks/019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071"
    return [
        client.post("/tasks", json={"message": "x"}),
        client.post("/tasks", json={"kind": "unknown"}),
        client.post("/tasks/batch", json={"tasks": [{"message": "x"}] * 100}),
        client.get(some),
        client.get("/tasks"),
        client.get("/tasks?kind=rare"),
        client.patch(some, json={"status": "canceled"}),
        client.patch(some, json={"status": "pending"}),
        client.get("/readyz"),
    ]


@pytest.mark.parametrize("how", ["refuses", "is silent", "is silent and was never spoken to"])
async def test_without_postgresql_every_endpoint_says_503_within_two_seconds(cut: Cut, how: str) -> None:
    if how != "is silent and was never spoken to":
        await asyncio.gather(*requests(cut.client))
    if how == "refuses":
        await cut.postgres.shut()
    else:
        cut.postgres.silence()

    # The first time connections are found dead, the second time none can be made.
    for _ in range(2 if how == "is silent" else 1):
        for response, seconds in await asyncio.gather(*(timed(request) for request in requests(cut.client))):
            assert response.status_code == 503, response.text
            assert response.headers["content-type"] == PROBLEM
            assert int(response.headers["retry-after"]) >= 1
            assert seconds < TIMEOUT + SLACK, response.request.url
    health, seconds = await timed(cut.client.get("/health"))
    assert seconds < TIMEOUT + SLACK
    assert health.status_code == 503
    assert (health.json()["status"], health.json()["database"]) == ("unhealthy", "down")
    assert (await cut.client.get("/livez")).status_code == 200

    await cut.postgres.open()

    async def accepted() -> bool:
        return (await cut.client.post("/tasks", json={"message": "x"})).status_code == 201

    await eventually(accepted, timeout=20)


async def test_without_postgresql_an_old_cache_of_kinds_delays_no_503(
    cut: Cut, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stores.consumers.register_kinds([ServedKind(Kind("echo"), None, None, None)])
    await eventually(lambda: _accepts_no_more(cut.client, "unknown"))
    for age in ("FRESH_SECONDS", "AGING_SECONDS"):
        monkeypatch.setattr(kinds, age, 0.0)
    cut.postgres.silence()

    answers = await asyncio.gather(
        timed(cut.client.post("/tasks", json={"message": "x"})),
        timed(cut.client.post("/tasks/batch", json={"tasks": [{"message": "x"}] * 100})),
    )

    for response, seconds in answers:
        assert response.status_code == 503
        assert seconds < TIMEOUT + SLACK
    await cut.postgres.shut()


async def _accepts_no_more(client: httpx2.AsyncClient, kind: str) -> bool:
    return (await client.post("/tasks", json={"kind": kind})).status_code == 422


async def test_many_requests_at_once_are_all_answered_in_time(cut: Cut) -> None:
    await cut.client.post("/tasks", json={"message": "x"})
    cut.postgres.silence()

    answers = await asyncio.gather(
        *(timed(cut.client.get("/tasks")) for _ in range(30)),
        *(timed(cut.client.post("/tasks", json={"message": "x"})) for _ in range(30)),
    )

    assert {response.status_code for response, _ in answers} == {503}
    assert max(seconds for _, seconds in answers) < TIMEOUT + SLACK
    await cut.postgres.shut()


async def test_a_submission_whose_answer_is_lost_is_told_with_its_id_and_is_there(
    cut: Cut, stores: Stores
) -> None:
    await cut.client.post("/tasks", json={"message": "first"})
    await stores.raw.execute("BEGIN; LOCK TABLE tasks IN SHARE MODE")
    try:
        response, seconds = await timed(cut.client.post("/tasks", json={"message": "in doubt"}))
    finally:
        await stores.raw.execute("COMMIT")

    problem = response.json()
    assert response.status_code == 503
    assert seconds < TIMEOUT + SLACK
    assert problem["type"].endswith(":maybe-accepted")
    assert "may have been accepted" in problem["detail"]
    task_id = problem["id"]
    rows = await stores.raw.fetch("SELECT CAST(id AS text) AS id FROM tasks WHERE message = 'in doubt'")
    assert [row["id"] for row in rows] in ([], [task_id])


async def test_a_batch_is_waited_for_as_long_as_postgresql_answers_others(cut: Cut, stores: Stores) -> None:
    await stores.raw.execute("BEGIN; LOCK TABLE tasks IN SHARE MODE")
    async with asyncio.TaskGroup() as group:
        tasks = [{"message": f"{n}"} for n in range(100)]
        batch = group.create_task(cut.client.post("/tasks/batch", json={"tasks": tasks}))
        response, _ = await timed(cut.client.post("/tasks", json={"message": "x"}))  # this one is not
        assert response.status_code == 503
        assert not batch.done()
        await stores.raw.execute("COMMIT")

    assert batch.result().status_code == 201
    assert await stores.raw.fetchval("SELECT count(*) FROM tasks WHERE message <> 'x'") == 100


async def test_a_short_absence_of_postgresql_is_not_noticed(cut: Cut) -> None:
    await cut.client.post("/tasks", json={"message": "x"})
    await cut.postgres.shut()

    async with asyncio.TaskGroup() as group:
        posts = [group.create_task(cut.client.post("/tasks", json={"message": f"{n}"})) for n in range(20)]
        await asyncio.sleep(0.2)  # the outage itself
        await cut.postgres.open()

    assert {post.result().status_code for post in posts} == {201}


@pytest.mark.parametrize("how", ["refuses", "is silent", "is silent and was never spoken to"])
async def test_without_redis_tasks_are_accepted_within_a_second(
    served: None, cut: Cut, stores: Stores, how: str
) -> None:
    if how != "is silent and was never spoken to":
        await cut.client.post("/tasks", json={"message": "x"})
        await eventually(stores.entries)
    if how == "refuses":
        await cut.redis.shut()
    else:
        cut.redis.silence()

    slowest = []
    for _ in range(3):
        posts = [timed(cut.client.post("/tasks", json={"message": "x"})) for _ in range(20)]
        posts.append(timed(cut.client.post("/tasks/batch", json={"tasks": [{"message": "x"}] * 1000})))
        responses, seconds = zip(*await asyncio.gather(*posts), strict=True)
        assert {response.status_code for response in responses} == {201}
        slowest.append(max(seconds))
    assert max(slowest) < 1 + SLACK
    assert min(slowest) < COMMAND_SECONDS, "nobody waits for a command to Redis"
    health, took = await timed(cut.client.get("/health"))
    assert took < TIMEOUT + SLACK
    assert health.status_code == 200
    assert (health.json()["status"], health.json()["redis"]) == ("degraded", "down")
    assert (await cut.client.get("/readyz")).status_code == 200


@pytest.mark.parametrize("how", ["refuses", "is silent"])
async def test_without_redis_a_running_task_is_canceled_all_the_same(
    cut: Cut, stores: Stores, how: str
) -> None:
    task = (await cut.client.post("/tasks", json={"message": "x"})).json()
    await stores.raw.execute(
        "UPDATE tasks SET status = 'processing', fencing_token = 1, consumer_id = gen_random_uuid()"
    )
    if how == "refuses":
        await cut.redis.shut()
    else:
        cut.redis.silence()

    response, seconds = await timed(cut.client.patch(f"/tasks/{task['id']}", json={"status": "canceled"}))

    assert response.status_code == 200
    assert response.json()["canceled_from"] == "processing"
    assert seconds < 1 + SLACK


async def test_when_redis_comes_back_ids_are_pushed_again(served: None, cut: Cut, stores: Stores) -> None:
    await cut.redis.shut()
    await cut.client.post("/tasks", json={"message": "x"})
    await cut.redis.open()

    async def pushed() -> bool:
        task_id = (await cut.client.post("/tasks", json={"message": "x"})).json()["id"]
        return task_id in await stores.entries()

    await eventually(pushed, timeout=20)
