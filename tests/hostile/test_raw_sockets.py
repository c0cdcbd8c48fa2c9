"""What no HTTP library would send: the service answers in order or closes, goes on, and makes no 500 of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from api.protocol import HEAD_SECONDS, MOST_HEAD_BYTES, MOST_PIPELINED, UNREAD_SECONDS, Connection
from cli.embedded import Urls
from tests.bounded.processes import ApiProcess, api_process

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
CLOSED_WITHIN = HEAD_SECONDS + 5


@pytest.fixture(scope="module")
async def api(
    own_database: str, redis_url: str, worker_id: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ApiProcess]:
    """One for all: the next test sees what the one before has left."""
    urls = Urls(database_url=own_database, redis_url=redis_url)
    directory: Path = tmp_path_factory.mktemp("api")
    async with api_process(urls, f"{worker_id}-{uuid4().hex[:12]}", directory) as api:
        yield api


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
            return await _read(reader)
    finally:
        writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> bytes:
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


BODY = b'{"message": "x"}'
CHUNKED = b"Transfer-Encoding: chunked"
ONE = b"Connection: close"

# What is sent, and the statuses that may come back; none: closed without a word.
TRAPS: dict[str, tuple[bytes, set[int]]] = {
    "nothing that is HTTP": (b"\x16\x03\x01\x02\x00\x01\x00", {400}),
    "a NUL before the method": (b"\0" + LAST, {400}),
    "an unknown method": (b"BREW /tasks HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    "HTTP/3.0": (b"GET /livez HTTP/3.0\r\nHost: x\r\n\r\n", {400}),
    "HTTP/0.9": (b"GET /livez\r\n\r\n", {200, 400}),
    "HTTP/2's preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}),
    "HTTP/1.0": (b"GET /livez HTTP/1.0\r\n\r\n", {200}),
    "no host": (b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n", {200, 400}),
    "bare line feeds": (b"GET /livez HTTP/1.1\nHost: x\nConnection: close\n\n", {200, 400}),
    "an absolute target": (b"GET http://x/livez HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n", {200}),
    "an absolute target with no path": (
        b"GET http://x HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n",
        {400, 404},
    ),
    "an asterisk": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {400, 404, 405}),
    "an authority": (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {400, 404, 405}),
    "NUL in the path": (b"GET /tasks\0 HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    "NUL in the path, quoted": (b"GET /tasks/%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {422}),
    "no UTF-8 in the path": (
        b"GET /tasks/\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        {400, 422},
    ),
    "no UTF-8 in the path, quoted": (
        b"GET /tasks/%ff%fe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        {422},
    ),
    "no UTF-8 in the query, quoted": (
        b"GET /tasks?kind=%ff%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        {422},
    ),
    "half a quote": (b"GET /tasks?kind=%f HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {422}),
    "two lengths": (post(BODY, b"Content-Length: 16", b"Content-Length: 3", ONE), {400}),
    "a length and chunks": (post(BODY, b"Content-Length: 16", CHUNKED, ONE), {400}),
    "chunks twice": (post(b"0\r\n\r\n", CHUNKED, CHUNKED, ONE), {400}),
    "an unknown transfer coding": (post(BODY, b"Transfer-Encoding: gzip", ONE), {400}),
    "a length of text": (post(BODY, b"Content-Length: many", ONE), {400}),
    "a negative length": (post(BODY, b"Content-Length: -1", ONE), {400}),
    "a length beyond 64 bits": (post(BODY, b"Content-Length: 99999999999999999999", ONE), {400}),
    "a signed length": (post(BODY, b"Content-Length: +16", ONE), {400}),
    "a chunk that is no number": (post(b"zz\r\n", CHUNKED, ONE), {400}),
    "a chunk longer than it says": (post(b"2\r\n" + BODY + b"\r\n0\r\n\r\n", CHUNKED, ONE), {400}),
    "a chunk beyond 64 bits": (post(b"fffffffffffffffff\r\n", CHUNKED, ONE), {400}),
    "a chunk with an extension": (
        post(b"10;a=b\r\n" + BODY + b"\r\n0\r\nTrailer: x\r\n\r\n", CHUNKED, ONE),
        {201},
    ),
    "a header without a colon": (b"GET /livez HTTP/1.1\r\nHost x\r\n\r\n", {400}),
    "a header with a space before its colon": (b"GET /livez HTTP/1.1\r\nHost : x\r\n\r\n", {400}),
    "a folded header": (b"GET /livez HTTP/1.1\r\nHost: x\r\n y\r\nConnection: close\r\n\r\n", {200, 400}),
    "a NUL in a header": (b"GET /livez HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n", {400}),
    "no UTF-8 in a header": (b"GET /livez HTTP/1.1\r\nHost: \xff\r\nConnection: close\r\n\r\n", {200, 400}),
    "a websocket": (
        b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n",
        {200},
    ),
    "an offer of HTTP/2 with a body": (
        post(BODY, b"Content-Length: 16", b"Connection: Upgrade, HTTP2-Settings, close", b"Upgrade: h2c"),
        {201},
    ),
    "a body after expecting": (post(BODY, b"Content-Length: 16", b"Expect: 100-continue", ONE), {100, 201}),
    "an expectation of anything": (
        post(BODY, b"Content-Length: 16", b"Expect: the-unexpected", ONE),
        {201, 417},
    ),
    "a head of 200 KiB": (b"GET /livez HTTP/1.1\r\nHost: x\r\nA: " + b"a" * (200 << 10), {431}),
    "a target of 200 KiB": (b"GET /" + b"a" * (200 << 10), {431}),
    "a whole head of 70 KiB": (LIVEZ[:-2] + b"A: " + b"a" * (70 << 10) + b"\r\n\r\n", {431}),
    "50,000 headers": (LIVEZ[:-2] + b"a:b\r\n" * 50_000 + b"\r\n", {431}),
    "blank lines without an end": (b"\r\n" * (200 << 10), {431}),
}


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("bytewise", [False, True], ids=["at once", "in pieces"])
async def test_what_is_hardly_http_is_answered_or_closed_and_the_next_one_is_served(
    api: ApiProcess, trap: str, bytewise: bool
) -> None:
    sent, allowed = TRAPS[trap]
    step = max(1, len(sent) // 64) if bytewise else len(sent)

    answer = await say(api, *(sent[at : at + step] for at in range(0, len(sent), step)))

    assert set(statuses(answer)) <= allowed, answer[:300]
    if answer and statuses(answer)[-1] >= 400:
        problem(answer)
    assert answer or (allowed & {400, 431} and (bytewise or len(sent) > MOST_HEAD_BYTES))
    assert await api.alive()
    assert not any("Traceback" in line for line in api.said)


async def test_pipelined_requests_are_answered_in_their_order(api: ApiProcess) -> None:
    wanted = [b"/livez", b"/nowhere", b"/readyz", b"/tasks/1", b"/livez"]
    pipelined = [b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in wanted]

    answer = await say(api, b"".join(pipelined) + post(BODY, b"Content-Length: 16") + LAST)

    assert statuses(answer) == [200, 404, 200, 422, 200, 201, 200]


async def test_what_follows_a_broken_request_is_not_heard_and_what_came_before_is_answered(
    api: ApiProcess,
) -> None:
    for broken in (b"NONSENSE\r\n\r\n", post(b"zz\r\n", CHUNKED), b"GET /" + b"a" * (200 << 10)):
        slow = post(BODY, b"Content-Length: 16")
        answer = await say(api, slow + LIVEZ + broken, LAST)
        assert statuses(answer)[:2] == [201, 200]
        assert set(statuses(answer)[2:]) <= {400, 431}
        assert len(statuses(answer)) <= 3


async def test_a_flood_of_pipelined_requests_is_answered_up_to_a_bound(api: ApiProcess) -> None:
    answer = await say(api, LIVEZ * 5000)

    assert set(statuses(answer)) == {200}
    assert 1 <= len(statuses(answer)) <= MOST_PIPELINED + 2
    assert await api.alive()


async def test_half_closed_connections_still_get_their_answer(api: ApiProcess) -> None:
    assert statuses(await say(api, LAST, half_close=True)) == [200]
    assert statuses(await say(api, post(BODY, b"Content-Length: 16", ONE), half_close=True)) == [201]
    assert statuses(await say(api, b"GET /livez HTT", half_close=True)) in ([], [400])
    assert statuses(await say(api, post(b"{", b"Content-Length: 16"), half_close=True)) in ([], [400])


async def test_those_who_never_end_their_request_are_shown_out_and_hold_nobody_up(api: ApiProcess) -> None:
    began = time.monotonic()

    async def slowly(*pieces: bytes) -> bytes:
        """A piece now and then, for as long as the service listens."""
        reader, writer = await asyncio.open_connection(*api.place)
        try:
            async with asyncio.timeout(CLOSED_WITHIN), asyncio.TaskGroup() as group:
                reading = group.create_task(_read(reader))
                for piece in pieces:
                    if reading.done():
                        break
                    writer.write(piece)
                    await asyncio.wait({reading}, timeout=0.5)
            return reading.result()
        finally:
            writer.transport.abort()

    async def served() -> float:
        """How long the slowest of many ordinary requests took meanwhile."""
        slowest = 0.0
        while time.monotonic() - began < HEAD_SECONDS:
            at = time.monotonic()
            assert await api.alive()
            slowest = max(slowest, time.monotonic() - at)
            await asyncio.sleep(0.05)
        return slowest

    async with asyncio.TaskGroup() as group:
        silent = group.create_task(slowly())
        after_one = group.create_task(slowly(LIVEZ, *[b"\r\n"] * 60))
        headers = group.create_task(slowly(LIVEZ[:-2], *[b"A: b\r\n"] * 60))
        letters = group.create_task(slowly(*[b"G", b"E", b"T", b" ", *[b"/"] * 60]))
        neighbours = group.create_task(served())

    assert time.monotonic() - began < CLOSED_WITHIN
    assert silent.result() == b""
    assert statuses(after_one.result()) == [200]
    assert problem(headers.result()) == problem(letters.result()) == "too-slow"
    assert neighbours.result() < 2


class _Full:
    """A transport whose client reads nothing."""

    def __init__(self) -> None:
        self.unread = 7
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize("reads", [True, False])
def test_a_client_that_reads_nothing_of_its_answer_is_shown_out(reads: bool) -> None:
    connection = Connection.__new__(Connection)
    transport = _Full()
    vars(connection).update(
        transport=transport,
        _deaf=True,
        _unread=0,
        _unread_since=0.0,
    )
    for second in range(2 * int(UNREAD_SECONDS)):
        transport.unread += reads
        connection.end_if_overdue(1000.0 + second)
    assert transport.aborted is not reads
