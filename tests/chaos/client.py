"""A small HTTP client for many requests at once: kept-alive connections, JSON in and out, no repeats of its own."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any, NamedTuple

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
SECONDS = 8.0


class Answer(NamedTuple):
    """Status and body."""

    status: int
    body: dict[str, Any]


class NoAnswer(Exception):
    """The request may have been heard; nobody knows."""


class Client:
    """Requests to one port. `most` connections are kept when idle."""

    def __init__(self, port: int, most: int = 64) -> None:
        self._port = port
        self._most = most
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def __call__(self, method: str, path: str, body: object = None) -> Answer:
        """The answer. Raises ConnectionRefusedError when nothing was sent, NoAnswer when none came."""
        reader, writer = await self._connection()
        try:
            async with asyncio.timeout(SECONDS):
                answer = await _ask(reader, writer, self._request(method, path, body))
        except (OSError, EOFError, TimeoutError) as lost:
            writer.transport.abort()
            raise NoAnswer(repr(lost)) from lost
        except BaseException:
            writer.transport.abort()
            raise
        if len(self._idle) < self._most:
            self._idle.append((reader, writer))
        else:
            writer.close()
        return answer

    def close(self) -> None:
        """Hang up everywhere."""
        for _, writer in self._idle:
            writer.transport.abort()
        self._idle.clear()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.transport.abort()
        return await asyncio.open_connection("127.0.0.1", self._port)

    def _request(self, method: str, path: str, body: object) -> bytes:
        encoded = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(encoded)}\r\n\r\n"
        )
        return head.encode() + encoded


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> Answer:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if length is None:
        raise EOFError(f"an answer without its length: {head!r}")
    return Answer(int(head[9:12]), json.loads(await reader.readexactly(int(length[1])) or b"{}"))
