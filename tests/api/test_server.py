"""`python -m api` as a process: how it starts, stops, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import psutil
import pytest
import uvicorn

from api import listen
from api.server import REQUESTS_END_SECONDS, Server, Stop
from cli.embedded import Urls
from core.errors import ConfigurationError
from core.settings import environment
from tests.support.eventually import eventually
from tests.support.stores import Stores

START = 30.0


async def start(urls: Urls, *arguments: str, **settings: str) -> Process:
    """The API as a process on a free port, not waited for."""
    names = {"DATABASE_URL": urls.database_url, "REDIS_URL": urls.redis_url, "LOG_FORMAT": "json", **settings}
    command = (sys.executable, "-P", "-m", "api", *(arguments or ("--port", "0")))
    return await asyncio.create_subprocess_exec(*command, env=environment(**names), stderr=PIPE, stdout=PIPE)


async def logged(process: Process, event: str) -> dict[str, Any]:
    """The next such event in its log."""
    assert process.stderr is not None
    async with asyncio.timeout(START):
        async for line in process.stderr:
            said: dict[str, Any] = json.loads(line)
            if said["event"] == event:
                return said
    raise AssertionError("it ended")


@asynccontextmanager
async def serving(
    urls: Urls, *arguments: str, **settings: str
) -> AsyncIterator[tuple[Process, httpx2.AsyncClient]]:
    """The API as a process that is ready, and a client of it."""
    process = await start(urls, *arguments, **settings)
    try:
        url = (await logged(process, "api.listening"))["url"]
        async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:

            async def ready() -> bool:
                try:
                    return (await client.get("/readyz")).status_code == 200
                except httpx2.TransportError:
                    return False

            await eventually(ready, timeout=START)
            yield process, client
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(process: Process) -> tuple[int, str]:
    """Its exit status and what it said on stderr."""
    async with asyncio.timeout(START):
        _, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, errors.decode()


@pytest.fixture
def own(urls: Urls, redis_prefix: str) -> dict[str, str]:
    """Settings that keep one test apart from others."""
    return {"REDIS_PREFIX": redis_prefix}


async def test_a_port_that_is_taken_ends_the_start_with_one_line(urls: Urls) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, said = await ended(await start(urls, "--port", str(port)))

    assert status == 1
    assert (
        said
        == f"sluice api: port {port} on 127.0.0.1 is in use: stop what listens there, or choose another with --port\n"
    )


async def test_a_wrong_setting_ends_the_start_with_one_line(urls: Urls) -> None:
    status, said = await ended(await start(urls, DATABASE_URL="mysql://x"))

    assert status == 1
    assert said.startswith("sluice api: DATABASE_URL is (not shown): ")
    assert said.count("\n") == 1


def test_an_address_of_another_machine_is_told_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="--host or API_HOST"):
        listen.bind("no such host", 0)
    with pytest.raises(ConfigurationError, match="--host and --port"):
        listen.bind("192.0.2.1", 0)


async def test_a_database_that_is_not_migrated_names_the_command(urls: Urls, stores: Stores) -> None:
    revision = await stores.raw.fetchval("SELECT version_num FROM alembic_version")
    try:
        await stores.raw.execute("DELETE FROM alembic_version")
        status, said = await ended(await start(urls))
    finally:
        await stores.raw.execute("INSERT INTO alembic_version (version_num) VALUES ($1)", revision)

    assert status == 1
    assert "sluice migrate" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("arguments", [("--port", "x"), ("--workers", "0"), ("--nonsense",)], ids=str)
async def test_wrong_usage_is_status_2(urls: Urls, arguments: tuple[str, ...]) -> None:
    status, said = await ended(await start(urls, *arguments))

    assert status == 2
    assert "usage:" in said


async def test_a_stop_while_postgresql_is_awaited_is_clean(urls: Urls) -> None:
    away = Urls(database_url="postgresql://nobody@/x?host=/nowhere", redis_url="")
    process = await start(away)
    assert process.stderr is not None
    async with asyncio.timeout(START):
        first = json.loads(await process.stderr.readline())
    assert (first["event"], first["store"]) == ("store.lost", "PostgreSQL")

    process.send_signal(signal.SIGINT)

    assert await ended(process) == (0, "")


async def test_requests_in_flight_are_answered_and_the_status_is_0(
    urls: Urls, stores: Stores, own: dict[str, str]
) -> None:
    async with serving(urls, **own) as (process, client):
        await stores.raw.execute("BEGIN; LOCK TABLE tasks IN SHARE MODE")
        async with asyncio.TaskGroup() as group:
            posts = [group.create_task(client.post("/tasks", json={"message": f"{n}"})) for n in range(20)]
            await stores.waited_for()
            process.send_signal(signal.SIGTERM)
            await stores.raw.execute("COMMIT")
        status, said = await ended(process)

    assert {post.result().status_code for post in posts} == {201}
    assert (status, said) == (0, "")
    assert await stores.raw.fetchval("SELECT count(*) FROM tasks") == 20
    assert len(await stores.entries()) == 20  # and their ids were pushed before the end


async def test_nothing_that_was_accepted_is_lost_when_it_is_stopped_under_load(
    urls: Urls, stores: Stores, own: dict[str, str]
) -> None:
    accepted: set[str] = set()

    async def submit(client: httpx2.AsyncClient) -> None:
        while True:
            try:
                response = await client.post("/tasks", json={"message": "x"})
            except httpx2.TransportError:
                return
            if response.status_code == 201:
                accepted.add(response.json()["id"])

    async with serving(urls, **own) as (process, client):
        async with asyncio.TaskGroup() as group:
            for _ in range(16):
                group.create_task(submit(client))
            await eventually(lambda: len(accepted) > 200)
            process.send_signal(signal.SIGTERM)
        status, _ = await ended(process)

    rows = await stores.raw.fetch("SELECT CAST(id AS text) AS id FROM tasks")
    assert status == 0
    assert accepted <= {row["id"] for row in rows}


async def test_a_second_signal_cuts_off_what_is_still_open(urls: Urls, own: dict[str, str]) -> None:
    async with serving(urls, **own) as (process, client):
        _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(
            b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        )
        await writer.drain()
        assert (await client.get("/livez")).status_code == 200
        process.send_signal(signal.SIGTERM)

        async def refused() -> bool:
            try:
                await client.get("/livez")
            except httpx2.TransportError:
                return True
            return False

        await eventually(refused)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        status, said = await ended(process)
        writer.close()

    assert (status, said) == (1, "")
    assert time.monotonic() - began < REQUESTS_END_SECONDS - 1


async def test_a_second_signal_that_cuts_nothing_off_is_a_clean_stop(urls: Urls, own: dict[str, str]) -> None:
    async with serving(urls, **own) as (process, client):
        assert (await client.post("/tasks", json={"message": "x"})).status_code == 201
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)

        assert await ended(process) == (0, "")


async def test_an_application_that_does_not_end_is_not_waited_for_without_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.server.REQUESTS_END_SECONDS", 0.1)
    over = asyncio.Event()

    async def application(_: object, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await over.wait()
        await send({"type": "lifespan.shutdown.complete"})

    config = uvicorn.Config(application, lifespan="on", log_config=None)
    config.load()
    server = Server(config, Stop())
    server.lifespan, server.servers = config.lifespan_class(config), []
    await server.lifespan.startup()
    server._ask()
    server._ask()
    await server.shutdown()

    assert server.failed
    over.set()
    await server.lifespan.shutdown_event.wait()


async def test_redis_away_at_start_is_no_reason_not_to(urls: Urls, own: dict[str, str]) -> None:
    away = Urls(database_url=urls.database_url, redis_url="unix:///nowhere/redis.sock")
    async with serving(away, **own) as (_, client):
        assert (await client.get("/health")).json()["status"] == "degraded"
        assert (await client.post("/tasks", json={"message": "x"})).status_code == 201


async def test_workers_share_the_port_are_replaced_and_end_with_their_parent(
    urls: Urls, own: dict[str, str]
) -> None:
    async with serving(urls, "--port", "0", "--workers", "2", **own) as (process, client):
        parent = psutil.Process(process.pid)

        def workers() -> list[psutil.Process]:
            return [child for child in parent.children() if child.status() != psutil.STATUS_ZOMBIE]

        async def all_serve() -> bool:
            return len([w for w in workers() if w.net_connections()]) == 2

        first = workers()
        assert len(first) == 2
        first[0].kill()
        await eventually(lambda: len(workers()) == 2 and first[0] not in workers())
        for _ in range(20):
            assert (await client.get("/livez")).status_code == 200
        await eventually(all_serve, timeout=START)

        left = workers()
        process.kill()
        await eventually(lambda: not any(worker.is_running() for worker in left))


async def test_workers_drain_when_their_parent_is_asked_to_stop(urls: Urls, own: dict[str, str]) -> None:
    async with serving(urls, "--port", "0", "--workers", "2", **own) as (process, client):
        children = psutil.Process(process.pid).children()
        assert (await client.post("/tasks", json={"message": "x"})).status_code == 201
        process.send_signal(signal.SIGINT)
        status, _ = await ended(process)

    assert status == 0
    assert not any(child.is_running() for child in children)


async def test_with_a_consumer_inside_tasks_are_completed_and_the_drain_is_clean(
    urls: Urls, own: dict[str, str]
) -> None:
    async with serving(urls, "--port", "0", "--with-consumer", **own) as (process, client):
        where = (await client.post("/tasks", json={"message": "Hello World"})).headers["location"]

        async def completed() -> bool:
            task = (await client.get(where)).json()
            return bool(task["status"] == "completed" and task["result"] == "Hello World")

        await eventually(completed)
        process.send_signal(signal.SIGTERM)
        status, said = await ended(process)

    assert status == 0
    assert "Traceback" not in said


async def test_a_second_signal_hurries_the_consumer_inside_too(
    urls: Urls, stores: Stores, own: dict[str, str]
) -> None:
    async with serving(urls, "--port", "0", "--with-consumer", **own) as (process, client):
        await client.post("/tasks", json={"kind": "sleep", "payload": {"seconds": 600}})

        async def runs() -> bool:
            return await stores.raw.fetchval("SELECT status = 'processing' FROM tasks") is True

        await eventually(runs)
        process.send_signal(signal.SIGTERM)
        await logged(process, "consumer.draining")
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        status, said = await ended(process)

    assert status == 0
    assert time.monotonic() - began < 5, "it would drain for 25 s"
    assert "Traceback" not in said
    [row] = await stores.raw.fetch("SELECT status, attempt, crashes FROM tasks")
    assert tuple(row) == ("pending", 0, 0), "given back, and not charged"


async def test_a_handler_module_that_is_not_there_is_told_in_one_line(urls: Urls) -> None:
    process = await start(urls, "--port", "0", "--with-consumer", HANDLERS="no.such.module")
    status, said = await ended(process)

    assert status == 1
    assert "no.such.module" in said
    assert said.count("\n") == 1
