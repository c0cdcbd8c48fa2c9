"""Large tables, made once by SQL and copied for every run, with the ids of their backlog in Redis. Measures nothing.

A copy is taken file by file: each run finds the same pages, indexes without a dead entry, and statistics that fit.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg

from benchmarks.handlers import KIND
from benchmarks.preload import LIST, MESSAGE, PAYLOAD
from benchmarks.stage import DATABASE, Stage
from sluice.cli.embedded.postgres import DATABASE as MIGRATED
from sluice.core.task import Kind

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Say = Callable[[str], None]


def tell(sentence: str) -> None:
    """For whoever waits at the terminal."""
    print(sentence, file=sys.stderr, flush=True)


QUEUED = """
INSERT INTO tasks (id, created_at, updated_at, run_at, kind, queue, priority, max_attempts, timeout, message, payload)
SELECT uuidv7(age), now() + age, now() + age, now() + age, $3, 'default', 5, 5, 3600, $4, CAST($5 AS json)
  FROM generate_series(CAST($1 AS bigint), CAST($2 AS bigint)) AS n
 CROSS JOIN LATERAL (SELECT (n - $6) * interval '1 ms' - interval '1 hour') AS submitted (age)
"""
"""One task a millisecond until an hour ago, in ids as in instants, so that a new task comes behind all of them."""
LATER = """
INSERT INTO tasks (id, created_at, updated_at, run_at, kind, queue, priority, max_attempts, timeout, message, payload)
SELECT uuidv7(age), now() + age, now() + age, now() + interval '1 day' + n * interval '1 ms',
       $3, 'default', 5, 5, 3600, $4, CAST($5 AS json)
  FROM generate_series(CAST($1 AS bigint), CAST($2 AS bigint)) AS n
 CROSS JOIN LATERAL (SELECT (n - $6) * interval '100 us' - interval '30 minutes') AS submitted (age)
"""
"""Tasks that are due tomorrow: promote has to pass over them."""
ENDED = """
INSERT INTO tasks (id, created_at, updated_at, run_at, started_at, finished_at, fencing_token, attempt, consumer_id,
                   kind, queue, priority, max_attempts, timeout, message, payload, status)
SELECT uuidv7(age), now() + age, now() + age + took, now() + age, now() + age, now() + age + took, 2, 1,
       CAST('00000000-0000-7000-8000-000000000001' AS uuid),
       $3, 'default', 5, 5, 3600, $4, CAST($5 AS json), 'completed'
  FROM generate_series(CAST($1 AS bigint), CAST($2 AS bigint)) AS n
 CROSS JOIN LATERAL (SELECT (n - $6) * interval '1 ms' - interval '1 hour', interval '2 ms') AS submitted (age, took)
"""
_CHUNK = 250_000
_MAINTENANCE = "postgres"
_STASH = "bench:stash"
"""Where the backlog's ids wait; outside of the prefix of the processes that are measured."""
_OURS = "sluice:*"
_IDS = 20_000
_TELL = 8
_LOOK = 0.05
_BUSY = ("aof_rewrite_in_progress", "aof_rewrite_scheduled", "lazyfree_pending_objects")


@dataclass(frozen=True, slots=True)
class Fill:
    """So many rows by one INSERT. `more`: what the statement takes beyond the six parameters of those above."""

    insert: str
    rows: int
    kind: Kind = KIND
    payload: str = PAYLOAD
    more: tuple[object, ...] = ()


class Deep:
    """Template databases by name, and copies of them as the stage's database."""

    def __init__(self, stage: Stage, say: Say) -> None:
        self._stage = stage
        self._say = say

    async def make(self, name: str, *fills: Fill) -> None:
        """A migrated database with these rows, vacuumed, frozen and analyzed, and told of while it takes long."""
        async with self._connection(_MAINTENANCE) as maintenance:
            await maintenance.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            await maintenance.execute(f'CREATE DATABASE "{name}" TEMPLATE "{MIGRATED}"')
        async with self._connection(name) as connection:
            await connection.execute("SET synchronous_commit = off")
            for fill in fills:
                await self._fill(connection, name, fill)
            self._say(f"{name}: vacuum")
            await connection.execute("VACUUM (FREEZE, ANALYZE) tasks")
            await connection.execute("CHECKPOINT")

    async def stash(self, name: str) -> None:
        """Put the ids of the due rows of a template aside in Redis, the oldest to leave first."""
        redis, pushed = self._stage.redis, 0
        await redis.unlink(_STASH)
        async with self._connection(name) as connection, connection.transaction():
            due = (
                "SELECT CAST(id AS text) FROM tasks WHERE status = 'pending' AND run_at <= now() ORDER BY id"
            )
            found = await connection.cursor(due)
            while rows := await found.fetch(_IDS):
                await redis.lpush(_STASH, *(row[0] for row in rows))
                pushed += len(rows)
                if pushed % (_TELL * _CHUNK) < _IDS:
                    self._say(f"{name}: {pushed:,} ids in Redis")
        await self._quiet()  # it may have begun by itself
        await redis.bgrewriteaof()  # now, so that it is not due in the middle of a run
        await self._quiet()

    async def fresh(self, name: str = MIGRATED, *, listed: bool = False) -> None:
        """A copy of a template as the stage's database, and Redis without lists, or with the stash as the list.

        Everything is written out afterwards, and Redis has no work of its own left.
        """
        redis = self._stage.redis
        async for key in redis.scan_iter(_OURS):
            await redis.unlink(key)
        if listed:
            await redis.copy(_STASH, LIST)
        async with self._connection(_MAINTENANCE) as maintenance:
            await maintenance.execute(f'DROP DATABASE IF EXISTS "{DATABASE}" WITH (FORCE)')
            await maintenance.execute(f'CREATE DATABASE "{DATABASE}" TEMPLATE "{name}" STRATEGY = FILE_COPY')
            await maintenance.execute("CHECKPOINT")
        await self._quiet()

    async def drop(self, *names: str) -> None:
        """Give the disk back. After a run that broke nobody has to: the servers forget everything at their end."""
        await self._stage.redis.unlink(_STASH)
        await self._stage.fresh()
        async with self._connection(_MAINTENANCE) as maintenance:
            for name in names:
                await maintenance.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def _fill(self, connection: Connection, name: str, fill: Fill) -> None:
        for first in range(1, fill.rows + 1, _CHUNK):
            last = min(first + _CHUNK - 1, fill.rows)
            given = (first, last, fill.kind, MESSAGE, fill.payload, fill.rows, *fill.more)
            await connection.execute(fill.insert, *given)
            if (first // _CHUNK) % _TELL == 0:
                self._say(f"{name}: {last:,} of {fill.rows:,} rows")

    async def _quiet(self) -> None:
        """Wait until Redis neither rewrites its file nor frees what was dropped."""
        busy = True
        while busy:
            await asyncio.sleep(_LOOK)
            told = {**await self._stage.redis.info("persistence"), **await self._stage.redis.info("memory")}
            busy = any(int(told[name]) for name in _BUSY)

    @asynccontextmanager
    async def _connection(self, name: str) -> AsyncIterator[Connection]:
        connection = await asyncpg.connect(self._stage.urls.database_url, database=name)
        try:
            yield connection
        finally:
            await connection.close()
