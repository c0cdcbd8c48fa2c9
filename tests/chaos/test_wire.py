"""The proxy of the chaos runs: what it does to a connection, and what it understands of what is said there."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import asyncpg
import pytest
import redis.asyncio

from sluice.cli.embedded import Urls
from sluice.db.broker import ask
from tests.chaos.wire import PostgresTalk, RedisTalk, Wire
from tests.support.eventually import eventually

SOON = 5.0
A_WHILE = 0.3
INSERT = "INSERT INTO tasks (id, timeout, priority, max_attempts, queue, kind) VALUES ($1, 1, 5, 1, 'q', 'k')"
COUNT = "SELECT count(*) FROM tasks"


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


STARTUP = struct.pack("!ii", 8, 196608)
SSL_REQUEST = struct.pack("!ii", 8, 80877103)


@pytest.mark.parametrize("before", [b"", SSL_REQUEST])
def test_a_commit_is_seen_however_its_bytes_are_cut(before: bytes) -> None:
    talk = PostgresTalk()
    said = before + STARTUP + message(b"Q", b"SELECT 1\0") + message(b"Q", b"COMMIT;\0")
    assert [talk.matters(said[at : at + 1]) for at in range(len(said))].index(True) == len(said) - 1


def test_a_writing_statement_is_seen_when_it_is_bound_and_a_reading_one_never() -> None:
    talk = PostgresTalk()
    write = b"WITH held AS (SELECT 1) UPDATE tasks AS task SET status = 'completed'"
    assert not talk.matters(STARTUP + message(b"P", b"one\0" + write + b"\0\0\0"))
    assert not talk.matters(message(b"P", b"two\0SELECT * FROM tasks\0\0\0"))
    assert not talk.matters(message(b"B", b"\0two\0\0\0"))
    assert talk.matters(message(b"B", b"\0one\0\0\0") + message(b"E", b"\0\0\0\0\0"))
    assert not talk.matters(message(b"P", b"one\0SELECT 1\0\0\0") + message(b"B", b"\0one\0\0\0"))


def test_a_pop_is_seen_and_a_push_is_not() -> None:
    assert RedisTalk().matters(b"*5\r\n$6\r\nBLMPOP\r\n$1\r\n1\r\n")
    assert RedisTalk().matters(b"*5\r\n$5\r\nLMPOP\r\n$1\r\n1\r\n")
    assert not RedisTalk().matters(b"*3\r\n$5\r\nLPUSH\r\n")


@pytest.fixture
async def wire(urls: Urls) -> AsyncIterator[Wire]:
    """The way to PostgreSQL."""
    wire = Wire(urls.database_url, PostgresTalk, Random(1))
    await wire.open()
    yield wire
    wire.resume()
    await wire.close()


@pytest.fixture
async def connection(wire: Wire) -> AsyncIterator[asyncpg.Connection]:
    """A connection through it."""
    opened = await asyncpg.connect(wire.url, timeout=SOON)
    yield opened
    opened.terminate()


async def silent(act: asyncio.Task[object]) -> bool:
    """Whether it is without an answer after a while."""
    await asyncio.wait({act}, timeout=A_WHILE)
    return not act.done()


async def test_the_answer_to_a_commit_is_held_though_it_took_place(
    wire: Wire, connection: asyncpg.Connection, urls: Urls
) -> None:
    wire.hold_answers()
    assert await connection.fetchval(COUNT) == 0
    assert wire.held == 0
    direct = await asyncpg.connect(urls.database_url)
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(connection.execute(INSERT, "0190163d-8694-739b-aea5-966c26f8ad91"))
        assert await eventually(lambda: direct.fetchval(COUNT)) == 1
        assert await silent(writing)
        assert wire.held == 1
        wire.resume()
    await direct.close()


async def test_a_held_answer_may_never_come(wire: Wire, connection: asyncpg.Connection) -> None:
    wire.hold_answers()
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(
            _fails(connection.execute(INSERT, "0190163d-8694-739b-aea5-966c26f8ad92"))
        )
        await eventually(lambda: wire.held)
        wire.reset()
    assert writing.result()


async def test_a_question_that_is_lost_arrives_when_the_hole_is_gone(
    wire: Wire, connection: asyncpg.Connection
) -> None:
    wire.lose_questions()
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(connection.fetchval("SELECT 1"))
        assert await silent(asking)
        wire.resume()
    assert asking.result() == 1


@pytest.mark.parametrize("cut", [Wire.drop, Wire.reset, Wire.half_close])
async def test_a_client_sees_that_its_connection_is_gone_and_the_next_one_works(
    wire: Wire, connection: asyncpg.Connection, cut: object
) -> None:
    cut(wire)  # type: ignore[operator]
    assert await _fails(connection.fetchval("SELECT 1", timeout=SOON))
    again = await asyncpg.connect(wire.url, timeout=SOON)
    assert await again.fetchval("SELECT 1") == 1
    again.terminate()


async def test_latency_holds_every_answer_a_little(wire: Wire, connection: asyncpg.Connection) -> None:
    wire.delay = (0.1, 0.15)
    began = asyncio.get_running_loop().time()
    assert await connection.fetchval("SELECT 1") == 1
    assert asyncio.get_running_loop().time() - began >= 0.2


async def test_the_answer_to_a_pop_is_held_and_the_id_is_gone(urls: Urls, redis_prefix: str) -> None:
    wire = Wire(urls.redis_url, RedisTalk, Random(1))
    await wire.open()
    key = f"{redis_prefix}:list"
    async with (
        redis.asyncio.Redis.from_url(urls.redis_url) as direct,
        redis.asyncio.Redis.from_url(wire.url, socket_timeout=SOON) as client,
    ):
        await direct.lpush(key, "one")
        wire.hold_answers()
        async with asyncio.TaskGroup() as group:
            popping = group.create_task(_pop(client, key))

            async def gone() -> bool:
                return await direct.llen(key) == 0

            await eventually(gone)
            assert await silent(popping)
            wire.resume()
        assert popping.result() == [key.encode(), [b"one"]]
    await wire.close()


async def _pop(client: redis.asyncio.Redis, key: str) -> Any:
    return await ask(client, "LMPOP", 1, key, "RIGHT")


async def _fails(act: object) -> bool:
    try:
        await act  # type: ignore[misc]
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return True
    return False
