"""What no HTTP library would send in a row, in part or slowly: the service answers in order or closes, and goes on."""

from __future__ import annotations

import asyncio
import time

import pytest

from sluice.api.http.connection import HEAD_SECONDS, MOST_PIPELINED, UNREAD_SECONDS, Connection
from tests.bounded.processes import ApiProcess
from tests.hostile.saying import BODY, CHUNKED, LAST, LIVEZ, ONE, post, problem, read, say, statuses

CLOSED_WITHIN = HEAD_SECONDS + 5


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
        answer = b""
        for _ in range(5):
            answer = await say(api, slow + LIVEZ + broken, LAST)
            if len(statuses(answer)) > 1:
                break  # else what came after the end has reset the connection, and taken answers along that wait here
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
                reading = group.create_task(read(reader))
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
