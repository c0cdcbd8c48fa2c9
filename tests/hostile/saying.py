"""What is said to the service over a raw socket, byte by byte, and what it answers."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from tests.bounded.processes import ApiProcess

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
BODY = b'{"message": "x"}'
CHUNKED = b"Transfer-Encoding: chunked"
ONE = b"Connection: close"


async def say(api: ApiProcess, *pieces: bytes, half_close: bool = False, within: float = 10) -> bytes:
    """What is answered to these pieces, each sent by itself, until the connection is closed by the service."""
    reader, writer = await asyncio.open_connection(*api.place, limit=1 << 24)
    try:
        async with asyncio.timeout(within):
            with suppress(ConnectionError):  # closed while we still sent: its answer may be lost with it
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if half_close:
                    writer.write_eof()
            return await read(reader)
    finally:
        writer.transport.abort()


async def read(reader: asyncio.StreamReader) -> bytes:
    found = b""
    try:
        while piece := await reader.read(1 << 16):
            found += piece
    except ConnectionError:
        return found
    return found


def statuses(answer: bytes) -> list[int]:
    """The status of each answer."""
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


def problem(answer: bytes) -> str:
    """The type of the problem document that the last answer holds."""
    head, _, body = answer[answer.rindex(b"HTTP/1.1 ") :].partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    return str(json.loads(body)["type"]).rpartition(":")[2]


def post(body: bytes, *headers: bytes) -> bytes:
    """A POST whose length is told by `headers`."""
    head = (b"POST /tasks HTTP/1.1", b"Host: x", b"Content-Type: application/json", *headers)
    return b"\r\n".join(head) + b"\r\n\r\n" + body
