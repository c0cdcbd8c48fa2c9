"""A proxy before a server, so that a test can make the network hang, lose answers or break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qsl, urlencode, urlsplit

_CHUNK = 1 << 16


class Proxy:
    """Passes bytes on both ways until it is told otherwise. `url` is the server's, as seen through it.

    `on_sent` is shown what a client sent, `on_answer` what the server said, before either is passed on: so it may tell
    the proxy what to do with it.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._answering = asyncio.Event()
        self._answering.set()
        self._port = 0
        self.on_sent: Callable[[bytes], None] = lambda _: None
        self.on_answer: Callable[[bytes], None] = lambda _: None

    @property
    def url(self) -> str:
        """What a client connects to."""
        parts = self._upstream
        if parts.scheme == "unix":
            return f"redis://127.0.0.1:{self._port}"
        account = parts.netloc.rpartition("@")[0]
        query = [(name, value) for name, value in parse_qsl(parts.query) if name not in {"host", "port"}]
        netloc = f"{account}@127.0.0.1:{self._port}" if account else f"127.0.0.1:{self._port}"
        return parts._replace(netloc=netloc, query=urlencode(query)).geturl()

    @property
    def connections(self) -> int:
        """How many ends are open."""
        return len(self._writers)

    def hang(self) -> None:
        """Silence: connections stay, nothing passes, new ones are accepted and never answered."""
        self._flowing.clear()

    def lose_answers(self) -> None:
        """What clients send arrives; what the server says does not."""
        self._answering.clear()

    def resume(self) -> None:
        """Pass on again, what was held back first."""
        self._flowing.set()
        self._answering.set()

    def drop(self) -> None:
        """Break every connection, with what was held back; new ones work."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def close(self) -> None:
        """Break every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop()

    async def open(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        self._writers.add(writer)
        try:
            await self._flowing.wait()
            with suppress(OSError):  # the server behind is away: so are we
                upstream_reader, upstream = await self._connect()
                ends.append(upstream)
                self._writers.add(upstream)
                async with asyncio.TaskGroup() as group:
                    group.create_task(_pump(reader, upstream, self._flowing, seen=self._sent))
                    group.create_task(
                        _pump(upstream_reader, writer, self._flowing, self._answering, seen=self._answered)
                    )
        finally:
            for end in ends:
                end.transport.abort()
                self._writers.discard(end)

    def _sent(self, data: bytes) -> None:
        self.on_sent(data)

    def _answered(self, data: bytes) -> None:
        self.on_answer(data)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = self._upstream
        if parts.scheme == "unix":
            return await asyncio.open_unix_connection(parts.path)
        query = dict(parse_qsl(parts.query))
        if "host" in query:
            return await asyncio.open_unix_connection(f"{query['host']}/.s.PGSQL.{query.get('port', 5432)}")
        default = 6379 if parts.scheme.startswith("redis") else 5432
        return await asyncio.open_connection(parts.hostname or "127.0.0.1", parts.port or default)


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *gates: asyncio.Event,
    seen: Callable[[bytes], None] = lambda _: None,
) -> None:
    """Bytes one way, each held back while a gate is shut; the end of one side ends the other."""
    with suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            seen(data)
            for gate in gates:
                await gate.wait()
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


@asynccontextmanager
async def proxied(upstream: str) -> AsyncIterator[Proxy]:
    """A proxy before the server of this URL."""
    proxy = Proxy(upstream)
    await proxy.open()
    try:
        yield proxy
    finally:
        proxy.resume()
        await proxy.close()
