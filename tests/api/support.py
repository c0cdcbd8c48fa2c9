"""The application served for a test, what it says to raw bytes, and stores that can be cut off."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx2
import uvicorn

from sluice.api.main import create_app
from sluice.api.server import KEEP_ALIVE_SECONDS
from sluice.cli.embedded import Urls
from sluice.core.settings import ApiSettings, load

JSON = {"Content-Type": "application/json"}
PROBLEM = "application/problem+json"


def settings(urls: Urls, prefix: str, **overrides: Any) -> ApiSettings:
    """What the application is made of in a test."""
    values = {"database_url": urls.database_url, "redis_url": urls.redis_url, "redis_prefix": prefix}
    return load(ApiSettings, **{**values, **overrides})


class QuietServer(uvicorn.Server):
    """uvicorn on the test's own loop: signals stay the test runner's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(chosen: ApiSettings) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application on a real socket; it is stopped in order at the end."""
    config = uvicorn.Config(
        create_app(chosen),
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,  # uvicorn's own five seconds are the client's as well: a race
    )
    server = QuietServer(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[listener]))
            try:
                async with httpx2.AsyncClient(
                    verify=False, base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30
                ) as client:
                    yield client
            finally:
                server.should_exit = True


async def raw(client: httpx2.AsyncClient, request: bytes) -> bytes:
    """What the server says to these bytes, until it closes the connection."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    try:
        writer.write(request)
        await writer.drain()
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()


class Gate:
    """A Unix socket before a server's: open, silent (nothing passes, nothing ends), or shut (nobody listens)."""

    def __init__(self, here: Path, there: str) -> None:
        self._here = here
        self._there = there
        self._open = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.shut()

    async def open(self) -> None:
        """Let everything pass."""
        self._open.set()
        if self._server is None:
            self._here.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, self._here)

    def silence(self) -> None:
        """From now on nothing passes."""
        self._open.clear()

    async def shut(self) -> None:
        """Drop every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._here.unlink(missing_ok=True)
            self._server = None
        for writer in list(self._writers):
            writer.close()
        self._open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_unix_connection(self._there)
        self._writers |= {writer, there_writer}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, there_writer))
                group.create_task(self._pass(there_reader, writer))
        finally:
            self._writers -= {writer, there_writer}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, RuntimeError):
            while chunk := await reader.read(1 << 16):
                await self._open.wait()
                writer.write(chunk)
                await writer.drain()
        writer.close()
