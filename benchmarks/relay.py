"""A listener on the loopback interface that passes everything on to PostgreSQL and counts the statements that go by.

Exact, because nothing that is sent past it reaches the server, and the server is asked for nothing. A statement is one
Query or one Execute message of PostgreSQL's protocol, BEGIN and COMMIT included.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_CHUNK = 1 << 16
_HEAD = 5
_QUERY, _EXECUTE, _PARSE, _BIND = b"Q", b"E", b"P", b"B"
_COMMENT = re.compile(r"--.*")


class Relay:
    """`seen` counts statements by how they begin."""

    def __init__(self, socket: Path) -> None:
        self.seen: Counter[str] = Counter()
        self.port = 0
        self._socket = socket

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator[Relay]:
        """Stand before the server that `url` names by its socket's directory."""
        asked = parse_qs(urlsplit(url).query)
        relay = cls(Path(asked["host"][0], f".s.PGSQL.{asked['port'][0]}"))
        server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
        relay.port = server.sockets[0].getsockname()[1]
        try:
            yield relay
        finally:
            server.close()

    def url(self, database: str) -> str:
        """Where the database is to be found through here."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client: both ways until either side hangs up."""
        answers, upstream = await asyncio.open_unix_connection(self._socket)
        with suppress(ConnectionError):
            async with asyncio.TaskGroup() as group:
                group.create_task(_pass_on(reader, upstream, Frontend(self.seen)))
                group.create_task(_pass_on(answers, writer, None))


class Frontend:
    """What one client says, cut into messages. The first have no type: they ask for encryption and introduce it."""

    def __init__(self, seen: Counter[str]) -> None:
        self._seen = seen
        self._buffer = b""
        self._introduced = False
        self._prepared: dict[bytes, str] = {}
        self._bound = ""

    def feed(self, data: bytes) -> None:
        """Count what is complete."""
        self._buffer += data
        while (size := self._size()) and len(self._buffer) >= size:
            message, self._buffer = self._buffer[:size], self._buffer[size:]
            if self._introduced:
                self._take(message[:1], message[_HEAD:])
            else:
                self._introduced = size > 8  # 8 bytes are a request for encryption

    def _size(self) -> int:
        """Bytes of the message that begins the buffer, 0 while that cannot be told."""
        at = 1 if self._introduced else 0
        if len(self._buffer) < at + 4:
            return 0
        return at + int.from_bytes(self._buffer[at : at + 4])

    def _take(self, kind: bytes, body: bytes) -> None:
        if kind == _QUERY:
            self._seen[beginning(body.split(b"\0")[0])] += 1
        elif kind == _PARSE:
            name, sql = body.split(b"\0")[:2]
            self._prepared[name] = beginning(sql)
        elif kind == _BIND:
            self._bound = self._prepared.get(body.split(b"\0")[1], "?")
        elif kind == _EXECUTE:
            self._seen[self._bound] += 1


def beginning(sql: bytes) -> str:
    """The first words of a statement, without its comments."""
    words = _COMMENT.sub("", sql.decode("utf-8", "replace")).split()
    return " ".join(words)[:60]


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listens: Frontend | None
) -> None:
    try:
        while data := await reader.read(_CHUNK):
            if listens is not None:
                listens.feed(data)
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
