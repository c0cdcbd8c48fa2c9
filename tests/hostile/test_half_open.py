"""Many connections that never end what they began to say: what they hold together is bounded, and others are served."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from tests.bounded.processes import ApiProcess
from tests.bounded.weighing import watched
from tests.hostile.saying import BODY, CHUNKED, post, say, statuses

MEBIBYTES = 100
"""More than it holds at rest."""
CONNECTIONS = min(900, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 3)
LARGE = 40
"""Connections that go on sending."""
BATCH = b"POST /tasks/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
# What each says first, how many do, what they go on with, and how often.
FLOODS: dict[str, tuple[bytes, int, bytes, int]] = {
    "nothing": (b"", CONNECTIONS, b"", 0),
    "heads of many headers": (b"GET /livez HTTP/1.1\r\n" + b"a:b\r\n" * 13_000, CONNECTIONS, b"", 0),
    "heads of as many headers as there may be": (
        b"GET /livez HTTP/1.1\r\n" + b"a:b\r\n" * 100,
        CONNECTIONS,
        b"",
        0,
    ),
    "heads of one long header": (b"GET /livez HTTP/1.1\r\nA: " + b"a" * 64_000, CONNECTIONS, b"", 0),
    "long heads before bodies that do not come": (
        post(b"{", b"A: " + b"a" * 60_000, b"Content-Length: 10"),
        CONNECTIONS,
        b"",
        0,
    ),
    "small bodies": (post(b"x" * 63_000, b"Content-Length: 100000"), CONNECTIONS, b"", 0),
    "bodies that nobody asked for": (
        b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 250_000,
        CONNECTIONS,
        b"",
        0,
    ),
    "large bodies": (BATCH + b"Content-Length: 16000000\r\n\r\n", LARGE, b"x" * 65_536, 240),
    "large bodies of no told length": (
        BATCH + CHUNKED + b"\r\n\r\n",
        LARGE,
        b"10000\r\n" + b"x" * 65_536 + b"\r\n",
        240,
    ),
    "trailers": (
        post(b"10\r\n" + BODY + b"\r\n0\r\n", CHUNKED),
        LARGE,
        b"a:b\r\n" * 13_000,
        240,
    ),
    "one long trailer": (
        post(b"10\r\n" + BODY + b"\r\n0\r\nA: ", CHUNKED),
        LARGE,
        b"a" * 65_536,
        240,
    ),
    "requests in a row": (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 2000, LARGE, b"", 0),
}


async def flood(api: ApiProcess, first: bytes, more: bytes, times: int) -> asyncio.StreamWriter | None:
    """Say it on a connection of its own, and leave that open; None when it was shut before all was said."""
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(10):
            _, writer = await asyncio.open_connection(*api.place)
            writer.write(first)
            for _ in range(times):
                writer.write(more)
                await writer.drain()
            return writer
    return None


@asynccontextmanager
async def flooded(api: ApiProcess, kind: str) -> AsyncIterator[None]:
    """Many connections say it, and stay."""
    first, many, more, times = FLOODS[kind]
    writers = await asyncio.gather(*(flood(api, first, more, times) for _ in range(many)))
    try:
        yield
    finally:
        for writer in writers:
            if writer is not None:
                writer.transport.abort()


async def test_a_body_that_nobody_asked_for_is_not_kept_beyond_its_answer(api: ApiProcess) -> None:
    unread = b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 60_000
    before = (await api.held()).memory
    async with AsyncExitStack() as connections:
        for _ in range(CONNECTIONS):
            reader, writer = await asyncio.open_connection(*api.place)
            connections.callback(writer.close)
            writer.write(unread)
            assert b"200" in await reader.readline()
        assert (await api.held()).memory < before + CONNECTIONS * 60_000 / 2**20 / 2


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", FLOODS)
async def test_what_many_hold_together_is_bounded_and_small_requests_pass(
    api: ApiProcess, at_rest: float, kind: str
) -> None:
    async with watched(api) as peak, flooded(api, kind):
        for _ in range(5):
            assert statuses(await say(api, post(BODY, b"Content-Length: 16", b"Connection: close"))) == [201]

    assert peak.memory < at_rest + MEBIBYTES
    assert not any("Traceback" in line for line in api.said)


@pytest.fixture(scope="module")
async def at_rest(api: ApiProcess) -> float:
    """What it held before the first flood, in MiB."""
    return (await api.held()).memory
