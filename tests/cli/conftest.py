"""Databases of a test's own, for what changes a schema, and the command itself."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, TextIO
from uuid import uuid4

import asyncpg
import httpx2
import pytest

from sluice.cli.embedded import Urls
from tests.cli.support import Command, Within
from tests.support import launching
from tests.support.databases import migrated, named

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def empty_database(servers: Urls) -> AsyncIterator[str]:
    """The URL of a database that holds nothing."""
    name = f"empty_{uuid4().hex}"
    admin: asyncpg.Connection[Any] = await asyncpg.connect(servers.database_url)
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        yield named(servers.database_url, name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture
def sluice(tmp_path: Path) -> Command:
    """`sluice`, to be called with its arguments."""
    return Within(tmp_path)


@pytest.fixture
def alembic(tmp_path: Path) -> Command:
    return Command(tmp_path, "alembic", ("-c", str(ROOT / "alembic.ini")))


@pytest.fixture(scope="module")
async def asking(
    servers: Urls, tmp_path_factory: pytest.TempPathFactory, unused_tcp_port_factory: Callable[[], int]
) -> AsyncIterator[Command]:
    """`sluice` for a running API and consumer, started by the command as well, on a database of their own."""
    port = unused_tcp_port_factory()
    url = f"http://127.0.0.1:{port}"
    async with migrated(servers.database_url, f"cli_{uuid4().hex}") as database_url:
        sluice = Within(
            tmp_path_factory.mktemp("asking"),
            environment={
                "DATABASE_URL": database_url,
                "REDIS_URL": servers.redis_url,
                "REDIS_PREFIX": f"cli-{uuid4().hex}",
                "SLUICE_URL": url,
                "DRAIN_SECONDS": "1",
            },
        )
        with (sluice.directory / "log").open("w+") as log:
            started = [
                await sluice.start(*arguments, stdout=log.fileno(), stderr=log.fileno())
                for arguments in (["api", "--port", str(port)], ["consumer"])
            ]
            try:
                await _until_a_consumer_beats(url, started, log)
                yield sluice
            finally:
                for process in started:
                    if process.returncode is None:
                        process.send_signal(signal.SIGTERM)
                statuses = [await process.wait() for process in started]
                log.seek(0)
            assert statuses == [0, 0], log.read()


async def _until_a_consumer_beats(url: str, started: Sequence[launching.Process], log: TextIO) -> None:
    async with asyncio.timeout(50), httpx2.AsyncClient(verify=False, base_url=url, trust_env=False) as http:
        while True:
            if [process.returncode for process in started] != [None, None]:
                log.seek(0)
                raise AssertionError(log.read())
            try:
                if (await http.get("/health")).json()["consumers"]:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.05)
