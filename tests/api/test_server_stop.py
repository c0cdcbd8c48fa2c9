"""`python -m api` as a process: how it stops, with requests in flight and with a consumer inside."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn

from sluice.api.server import REQUESTS_END_SECONDS, Server, Stop
from sluice.cli.embedded import Urls
from tests.api.processes import ended, logged, serving
from tests.support.consuming import ROOT
from tests.support.eventually import eventually
from tests.support.stores import Stores


async def test_requests_in_flight_are_answered_and_the_status_is_0(
    urls: Urls, served: None, stores: Stores, own: dict[str, str]
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
    monkeypatch.setattr("sluice.api.server.REQUESTS_END_SECONDS", 0.1)
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


async def test_what_a_second_signal_cuts_off_is_told_by_the_status_although_a_handler_cannot_be_awaited(
    urls: Urls, stores: Stores, own: dict[str, str], tmp_path: Path
) -> None:
    names = {**own, "HANDLERS": "tests.support.handlers", "RUNS": str(tmp_path / "runs")}
    async with serving(urls, "--port", "0", "--with-consumer", PYTHONPATH=str(ROOT), **names) as (
        process,
        client,
    ):
        until = str(tmp_path / "never")
        await client.post("/tasks", json={"kind": "thread", "payload": {"until": until}})
        await eventually(lambda: _runs(stores))
        _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(
            b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        )
        await writer.drain()
        assert (await client.get("/livez")).status_code == 200
        process.send_signal(signal.SIGTERM)
        await logged(process, "consumer.draining")
        process.send_signal(signal.SIGTERM)
        status, said = await ended(process)
        writer.close()

    assert status == 1
    assert "Traceback" not in said


async def _runs(stores: Stores) -> bool:
    return await stores.raw.fetchval("SELECT status = 'processing' FROM tasks") is True


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
