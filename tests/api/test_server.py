"""`python -m api` as a process: how it starts, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from uuid import uuid4

import pytest

from sluice.api.http import listen
from sluice.cli.embedded import Urls
from sluice.core.errors import ConfigurationError
from tests.api.processes import START, ended, serving, start
from tests.support.databases import named
from tests.support.stores import Stores


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
    status, said = await ended(await start(urls, cold=True, DATABASE_URL="mysql://x"))

    assert status == 1
    assert said.startswith("sluice api: DATABASE_URL is (not shown): ")
    assert said.count("\n") == 1


def test_an_address_of_another_machine_is_told_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="--host or API_HOST"):
        listen.bind("no such host", 0)
    with pytest.raises(ConfigurationError, match="--host and --port"):
        listen.bind("192.0.2.1", 0)


async def test_a_database_that_is_not_migrated_names_the_command(urls: Urls, stores: Stores) -> None:
    revision = await stores.raw.fetchval("SELECT version_num FROM sluice_version")
    try:
        await stores.raw.execute("DELETE FROM sluice_version")
        status, said = await ended(await start(urls))
    finally:
        await stores.raw.execute("INSERT INTO sluice_version (version_num) VALUES ($1)", revision)

    assert status == 1
    assert "sluice migrate" in said
    assert said.count("\n") == 1


async def test_a_database_that_cannot_hold_every_text_is_refused(urls: Urls, stores: Stores) -> None:
    name = f"narrow_{uuid4().hex}"
    await stores.raw.execute(
        f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
    )
    try:
        narrow = Urls(database_url=named(urls.database_url, name), redis_url=urls.redis_url)
        status, said = await ended(await start(narrow))
    finally:
        await stores.raw.execute(f"DROP DATABASE {name} WITH (FORCE)")

    assert status == 1
    assert said.startswith("sluice api: the database's encoding is LATIN1, ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("arguments", [("--port", "x"), ("--workers", "0"), ("--nonsense",)], ids=str)
async def test_wrong_usage_is_status_2(urls: Urls, arguments: tuple[str, ...]) -> None:
    status, said = await ended(await start(urls, *arguments, cold=True))

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


async def test_redis_away_at_start_is_no_reason_not_to(urls: Urls, own: dict[str, str]) -> None:
    away = Urls(database_url=urls.database_url, redis_url="unix:///nowhere/redis.sock")
    async with serving(away, **own) as (_, client):
        assert (await client.get("/health")).json()["status"] == "degraded"
        assert (await client.post("/tasks", json={"message": "x"})).status_code == 201


async def test_a_handler_module_that_is_not_there_is_told_in_one_line(urls: Urls) -> None:
    process = await start(urls, "--port", "0", "--with-consumer", HANDLERS="no.such.module")
    status, said = await ended(process)

    assert status == 1
    assert "no.such.module" in said
    assert said.count("\n") == 1
