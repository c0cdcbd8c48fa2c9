"""What a measurement stands on: the servers of this run, a fresh database for each side, processes that end with us.

Measures nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from redis.asyncio import Redis

from sluice.cli.embedded import Servers, Urls
from sluice.cli.migrate import upgrade
from sluice.cli.supervise.child import Child
from sluice.core.errors import SluiceError
from sluice.core.settings import environment

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".build" / "bench"
DATABASE = "bench"
_MAINTENANCE = "postgres"
_PATIENCE = 60.0
_AS_MUCH_AS_A_DRAIN = "INSERT INTO written SELECT repeat('x', 1000) FROM generate_series(1, 400000)"


class BrokenRun(SluiceError):
    """A run that proves nothing: something died, or what it did does not add up."""


class Program:
    """A process of this run. What it writes is kept; its output as JSON is its `answer`."""

    def __init__(self, name: str, child: Child, output: IO[bytes]) -> None:
        self.name = name
        self.pid = child.pid
        self._child = child
        self._output = output

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._child.alive

    async def answer(self) -> dict[str, Any]:
        """Wait for its end; the JSON in the last line that it wrote. Raises BrokenRun when it failed."""
        status = await self._child.wait()
        words = self.said()
        if status:
            raise BrokenRun(f"{self.name} ended with {status}: {words[-2000:]}")
        found: dict[str, Any] = json.loads(words.strip().rpartition("\n")[2])
        return found

    async def stop(self) -> None:
        """SIGTERM and wait. Raises BrokenRun when it had died or ends with an error."""
        died = not self.alive
        status = await self._child.stop(stop_timeout=_PATIENCE)
        if died or status:
            raise BrokenRun(f"{self.name} ended with {status}: {self.said()[-2000:]}")

    async def end(self) -> None:
        """Make sure that it is gone, whatever state it is in."""
        await self._child.stop(stop_timeout=5.0)
        self._output.close()

    def said(self) -> str:
        """All that it has written so far."""
        output = self._output.fileno()  # the program writes on where a seek would leave the offset
        return os.pread(output, os.fstat(output).st_size, 0).decode("utf-8", "replace")


class Stage:
    """Running servers, with a migrated template from which `fresh` makes databases."""

    def __init__(self, servers: Servers, urls: Urls) -> None:
        self._servers = servers
        self._template = urls.database_url
        self.urls = Urls(_with_database(urls.database_url, DATABASE), urls.redis_url)
        self.redis = Redis.from_url(urls.redis_url)

    @classmethod
    @asynccontextmanager
    async def open(cls, say: Callable[[str], None]) -> AsyncIterator[Self]:
        """Start ephemeral servers, on the disk that holds this checkout: a flush must cost what it costs there."""
        HOME.mkdir(parents=True, exist_ok=True)
        servers = Servers(HOME, ephemeral=True, say=say)
        async with servers as urls:
            await upgrade(urls.database_url, say=say)
            stage = cls(servers, urls)
            try:
                yield stage
            finally:
                await stage.redis.aclose()

    @property
    def server_pids(self) -> dict[str, int]:
        """The servers' first processes, by name."""
        return {server.name.lower(): server.pid for server in self._servers.running if server.pid is not None}

    async def warm_up(self) -> None:
        """Have PostgreSQL write 400 MB. The first run would pay for new files of its log and for untouched memory."""
        async with self._maintenance() as connection:
            await connection.execute("CREATE TABLE written (text text)")
            await connection.execute(_AS_MUCH_AS_A_DRAIN)
            await connection.execute("DROP TABLE written")
            await connection.execute("CHECKPOINT")

    async def fresh(self) -> None:
        """An empty migrated database, an empty Redis, and nothing left to write from what was before."""
        await self.redis.flushall()
        template = urlsplit(self._template).path.lstrip("/")
        async with self._maintenance() as connection:
            await connection.execute(f'DROP DATABASE IF EXISTS "{DATABASE}" WITH (FORCE)')
            await connection.execute(f'CREATE DATABASE "{DATABASE}" TEMPLATE "{template}"')
            await connection.execute("CHECKPOINT")

    async def empty(self) -> None:
        """No task in the database and nothing in Redis, while the processes of this run stay connected."""
        await self.redis.flushall()
        async with self.connection() as connection:
            await connection.execute("TRUNCATE tasks")
            await connection.execute("CHECKPOINT")

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """A plain connection to the fresh database, to prepare and to count."""
        async with _connected(self.urls.database_url) as connection:
            yield connection

    def _maintenance(self) -> AbstractAsyncContextManager[asyncpg.Connection[asyncpg.Record]]:
        return _connected(_with_database(self._template, _MAINTENANCE))

    async def written_bytes(self) -> int:
        """Where PostgreSQL's write-ahead log stands: a difference of two is what was written in between."""
        async with self.connection() as connection:
            position: int = await connection.fetchval("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
        return int(position)

    @asynccontextmanager
    async def program(
        self, *arguments: str, settings: Mapping[str, str] | None = None
    ) -> AsyncIterator[Program]:
        """`python -m <arguments>` on these stores, gone at the end."""
        with tempfile.TemporaryFile() as output:
            child = await Child.start(
                [sys.executable, "-m", *arguments],
                environment=environment(
                    **{
                        "DATABASE_URL": self.urls.database_url,
                        "REDIS_URL": self.urls.redis_url,
                        "REDIS_PREFIX": "sluice",
                        "LOG_LEVEL": "warning",
                        "LOG_FORMAT": "json",
                        **(settings or {}),
                    }
                ),
                output=output.fileno(),
            )
            program = Program(" ".join(arguments), child, output)
            try:
                yield program
            finally:
                await program.end()


async def until(condition: Callable[[], Any], *, every: float, program: Program) -> None:
    """Poll `condition` (a coroutine function) until it holds. Raises BrokenRun when `program` dies meanwhile."""
    while not await condition():
        if not program.alive:
            await program.stop()
        await asyncio.sleep(every)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
