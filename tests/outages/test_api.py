"""The API while its stores are killed, stopped, silent or read-only: 503 in time, 201 without Redis, never a 500."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from sluice.cli.embedded import Urls
from tests.api.support import PROBLEM, serving, settings
from tests.outages.conftest import Everything, Own
from tests.outages.modes import KILLED, READONLY, SILENT, SILENT_THEN_CUT, STOPPED, Mode
from tests.support.eventually import eventually
from tests.support.proxy import Proxy
from tests.support.stores import Stores, open_stores

PATIENCE = 2.0
SLACK = 0.7
"""What a busy machine may add."""
SOME = "/tasks/019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071"


@pytest.fixture
async def client(
    own: Own, redis: Proxy, postgresql: Proxy, redis_prefix: str
) -> AsyncIterator[httpx2.AsyncClient]:
    """An API that reaches both stores through the proxies."""
    urls = Urls(database_url=postgresql.url, redis_url=redis.url)
    async with serving(settings(urls, redis_prefix)) as client:
        yield client


async def timed(request: Awaitable[httpx2.Response]) -> tuple[httpx2.Response, float]:
    began = time.monotonic()
    return await request, time.monotonic() - began


def requests(client: httpx2.AsyncClient) -> list[Any]:
    """One of each that needs PostgreSQL."""
    return [
        client.post("/tasks", json={"message": "x"}),
        client.post("/tasks/batch", json={"tasks": [{"message": "x"}] * 100}),
        client.get(SOME),
        client.get("/tasks"),
        client.patch(SOME, json={"status": "canceled"}),
        client.patch(SOME, json={"status": "pending"}),
        client.get("/readyz"),
    ]


@pytest.mark.parametrize(
    ("postgresql_is", "redis_is"),
    [(STOPPED, None), (STOPPED, KILLED), (SILENT_THEN_CUT, SILENT), (SILENT, READONLY)],
    ids=str,
)
async def test_without_postgresql_every_answer_is_503_in_time_whatever_redis_does(
    everything: Everything, client: httpx2.AsyncClient, postgresql_is: Mode, redis_is: Mode | None
) -> None:
    own, redis, postgresql = everything.own, everything.redis, everything.postgresql
    await asyncio.gather(*requests(client))
    await postgresql_is.leave(own, postgresql)
    if redis_is is not None:
        await redis_is.leave(own, redis)
    for _ in range(2):  # connections that are found dead, then connections that cannot be made
        for response, seconds in await asyncio.gather(*(timed(request) for request in requests(client))):
            assert response.status_code == 503, response.text
            assert seconds < PATIENCE + SLACK, response.request.url
            assert response.headers["content-type"] == PROBLEM
            assert int(response.headers["retry-after"]) >= 1

    async def unhealthy() -> bool:
        health, seconds = await timed(client.get("/health"))
        assert seconds < PATIENCE + SLACK
        return health.status_code == 503

    await eventually(unhealthy)  # the last look may be a second old
    assert (await client.get("/livez")).status_code == 200
    if redis_is is not None:
        await redis_is.come_back(own, redis)
    await postgresql_is.come_back(own, postgresql)

    async def well() -> bool:
        return {response.status_code for response in await asyncio.gather(*requests(client))} == {
            200,
            201,
            404,
        }

    await eventually(well, timeout=20)


@pytest.mark.parametrize("mode", [STOPPED, SILENT, SILENT_THEN_CUT], ids=str)
async def test_clients_that_go_on_through_an_outage_read_201_or_503_and_every_201_is_there(
    own: Own, client: httpx2.AsyncClient, stores: Stores, postgresql: Proxy, mode: Mode
) -> None:
    answers: list[httpx2.Response] = []
    over = False

    async def go_on() -> None:
        while not over:
            answers.append(await client.post("/tasks", json={"message": "x"}))
            if answers[-1].status_code != 201:
                await asyncio.sleep(0.05)

    def of(status: int) -> list[httpx2.Response]:
        return [answer for answer in answers if answer.status_code == status]

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(go_on())
        await eventually(lambda: len(of(201)) > 50)
        await mode.leave(own, postgresql)
        await eventually(lambda: len(of(503)) >= 8, timeout=20)
        before = len(of(201))
        await mode.come_back(own, postgresql)
        await eventually(lambda: len(of(201)) > before + 50, timeout=20)
        over = True
    assert len(of(201)) + len(of(503)) == len(answers)
    promised = {answer.json()["id"] for answer in of(201)}
    in_doubt = {answer.json()["id"] for answer in of(503) if "id" in answer.json()}
    async with open_stores(own.urls, stores.keys.prefix) as after:
        there = {str(row["id"]) for row in await after.raw.fetch("SELECT id FROM tasks")}
    assert len(promised) == len(of(201))
    assert promised <= there <= promised | in_doubt


@pytest.mark.parametrize("mode", [KILLED, READONLY, SILENT_THEN_CUT], ids=str)
async def test_without_redis_a_submission_is_accepted_within_a_second_and_pushed_again_when_it_is_back(
    own: Own, client: httpx2.AsyncClient, stores: Stores, redis: Proxy, mode: Mode
) -> None:
    await stores.consumer(lease=timedelta(minutes=10))

    async def known() -> list[str]:
        await client.post("/tasks", json={"message": "x"})
        return await stores.entries()

    await eventually(known)
    await mode.leave(own, redis)
    for _ in range(3):
        posts = [timed(client.post("/tasks", json={"message": "x"})) for _ in range(20)]
        for response, seconds in await asyncio.gather(*posts):
            assert response.status_code == 201
            assert seconds < 1 + SLACK

    async def degraded() -> bool:
        health = (await client.get("/health")).json()
        return health["status"] == "degraded" and health["redis"] in {"down", "refusing"}

    await eventually(degraded)
    await mode.come_back(own, redis)
    async with open_stores(own.urls, stores.keys.prefix) as after:

        async def pushed() -> bool:
            task_id = (await client.post("/tasks", json={"message": "x"})).json()["id"]
            await asyncio.sleep(0.01)
            return task_id in await after.entries()

        await eventually(pushed, timeout=20)
