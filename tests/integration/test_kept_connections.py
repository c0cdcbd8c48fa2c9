"""A Database that keeps connections at hand: bounded by the pool, replaced when they are dead, closed at its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest
from sqlalchemy import text

from sluice.core.errors import OutcomeUnknown
from sluice.core.ids import new_consumer_id
from sluice.db.claims import Claims
from sluice.db.session import Database, make_engine
from tests.support.eventually import eventually
from tests.support.stores import Stores, new

_OURS = """
SELECT pid, wait_event_type
  FROM pg_stat_activity
 WHERE application_name = 'sluice/keeping' AND datname = current_database()
"""
_END = """
SELECT pg_terminate_backend(pid, 5000)
  FROM pg_stat_activity
 WHERE application_name = 'sluice/keeping' AND datname = current_database()
"""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """With two connections at most."""
    database = Database(make_engine(database_url, role="keeping", pool_size=2), keeps=True)
    yield database
    await database.close()


async def backends(stores: Stores) -> set[int]:
    return {row["pid"] for row in await stores.raw.fetch(_OURS)}


async def blocked(stores: Stores) -> int:
    """How many of them wait for a lock. On another connection: a transaction sees the same activity until its end."""
    async with stores.engine.connect() as connection:
        return sum(row.wait_event_type == "Lock" for row in await connection.execute(text(_OURS)))


async def look(database: Database) -> None:
    assert await database.rows("held", consumer_id=None) == []


async def test_one_statement_after_another_uses_one_connection(stores: Stores, database: Database) -> None:
    for _ in range(5):
        await look(database)
    [first] = await backends(stores)
    await look(database)
    assert await backends(stores) == {first}


async def test_more_statements_than_connections_wait_for_those_and_all_are_answered(
    stores: Stores, database: Database
) -> None:
    for _ in range(3):
        async with asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(look(database))
        assert len(await backends(stores)) == 2


async def test_who_waits_while_all_are_busy_gets_the_first_that_comes_free(
    stores: Stores, database: Database
) -> None:
    tasks = await stores.submit_and_push([new(), new()])
    claims = Claims(database)
    async with asyncio.TaskGroup() as group:
        async with stores.raw.transaction():
            await stores.raw.execute("SELECT FROM tasks WHERE id = ANY ($1) FOR UPDATE", tasks)
            for task in tasks:
                group.create_task(database.rows("cancel", id=task))
            await eventually(lambda: _equal(blocked(stores), 2))
            waiting = group.create_task(claims.held(new_consumer_id()))
            await asyncio.wait({waiting}, timeout=0.05)
            assert not waiting.done()
        async with asyncio.timeout(2.0):  # less than it would wait for the pool
            assert await waiting == set()


async def _equal(found: Awaitable[object], wanted: object) -> bool:
    return await found == wanted


async def test_connections_that_the_server_ended_while_they_were_at_hand_are_replaced(
    stores: Stores, database: Database
) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(look(database))
    dead = await backends(stores)
    assert len(dead) == 2
    await stores.raw.execute(_END)
    await eventually(lambda: _answers(database))
    assert not await backends(stores) & dead
    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(look(database))


async def _answers(database: Database) -> bool:
    try:
        await look(database)
    except OutcomeUnknown:  # it met a connection whose end had not arrived yet
        return False
    return True


async def test_at_the_end_none_is_left(stores: Stores, database: Database) -> None:
    await look(database)
    await database.close()
    await eventually(lambda: _equal(backends(stores), set()))
