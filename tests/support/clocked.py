"""A real PostgreSQL whose clock a test sets: our statements, unchanged, find other functions under the same names.

`now()`, `statement_timestamp()` and `random()` are not qualified in db/sql, so a schema that stands before pg_catalog
in the search path gives them another meaning. Nothing else of the server is replaced. The tables are not logged: such
tests commit thousands of times, and nothing of theirs is to survive a crash.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from tests.support.databases import migrated

ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)
CHANCE = 0.5
"""What random() gives."""

_INSTALL = """
CREATE SCHEMA clock;
CREATE UNLOGGED TABLE clock.hand (at timestamptz NOT NULL);
CREATE FUNCTION clock.now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM clock.hand';
CREATE FUNCTION clock.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM clock.hand';
CREATE FUNCTION clock.random() RETURNS double precision LANGUAGE sql STABLE AS 'SELECT 0.5::double precision';
ALTER TABLE tasks ALTER created_at SET DEFAULT clock.now(), ALTER updated_at SET DEFAULT clock.now(),
                  ALTER run_at SET DEFAULT clock.now();
ALTER TABLE consumers ALTER started_at SET DEFAULT clock.now(), ALTER beat_at SET DEFAULT clock.now();
ALTER TABLE kinds ALTER updated_at SET DEFAULT clock.now();
ALTER TABLE upkeep ALTER next_run_at SET DEFAULT clock.now();
ALTER TABLE tasks SET UNLOGGED;
ALTER TABLE consumers SET UNLOGGED;
ALTER TABLE kinds SET UNLOGGED;
ALTER TABLE upkeep SET UNLOGGED;
"""


_PARTITION = """
ALTER TABLE tasks RENAME TO whole;
CREATE TABLE tasks (LIKE whole INCLUDING ALL) PARTITION BY HASH (id);
CREATE UNLOGGED TABLE tasks_0 PARTITION OF tasks FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE UNLOGGED TABLE tasks_1 PARTITION OF tasks FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE UNLOGGED TABLE tasks_2 PARTITION OF tasks FOR VALUES WITH (MODULUS 3, REMAINDER 2);
DROP TABLE whole;
"""


@asynccontextmanager
async def clocked(url: str, name: str, *, partitioned: bool = False) -> AsyncIterator[str]:
    """The URL of a new migrated database that stands still at ORIGIN; dropped at the end.

    `partitioned`: its tasks lie in three partitions, by their ids.
    """
    async with migrated(url, name) as made:
        connection: asyncpg.Connection[Any] = await asyncpg.connect(made)
        try:
            await connection.execute(_INSTALL)
            if partitioned:
                await connection.execute(_PARTITION)
            await _set(connection, ORIGIN)
        finally:
            await connection.close()
        parts = urlsplit(made)
        path = "search_path=clock,pg_catalog,public"
        yield parts._replace(query=f"{parts.query}&{path}" if parts.query else path).geturl()


async def begin_again(connection: asyncpg.Connection[Any]) -> None:
    """No row of ours, and the clock at ORIGIN."""
    await connection.execute(
        "DELETE FROM tasks; DELETE FROM consumers; DELETE FROM kinds; DELETE FROM upkeep"
    )
    await _set(connection, ORIGIN)


async def move_on(connection: asyncpg.Connection[Any], by: timedelta) -> None:
    """Time passes."""
    await connection.execute("UPDATE clock.hand SET at = at + $1", by)


async def _set(connection: asyncpg.Connection[Any], at: datetime) -> None:
    await connection.execute("DELETE FROM clock.hand")
    await connection.execute("INSERT INTO clock.hand VALUES ($1)", at)
