"""The crowded database: very many rows and queues that nobody serves, in front of a few tasks that somebody does.

Made once by SQL, without write-ahead log and with its indexes last: a million rows in seconds.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg

from sluice.db.session import make_engine
from tests.support.databases import migrated

ROWS = int(os.environ.get("SLUICE_TEST_ROWS", "1000000"))
LISTS = int(os.environ.get("SLUICE_TEST_LISTS", "10000"))
"""Queues that nobody serves, and as many kinds that nobody serves in one that somebody does."""
SERVED_QUEUES = ("default", "mail", "reports")
SERVED, GONE = "echo", "gone"
WAITING = 200
"""Tasks of a kind and of queues that are served, the youngest of all."""
DUE, LATER, RUNNING, ORPHANED, ENDED = 200, 10_000, 200, 100, 50_000
ALIVE, DEAD = uuid4(), uuid4()

Connection: TypeAlias = "asyncpg.Connection[Any]"

_INSERT = """
INSERT INTO tasks (id, created_at, updated_at, run_at, kind, queue, priority, max_attempts, timeout, message, status,
                   consumer_id, finished_at)
SELECT CAST(lpad(to_hex(n), 32, '0') AS uuid), {created}, {created}, {run}, {kind}, {queue}, {priority}, 5, 60, 'hello',
       {status}, {consumer}, {finished}
  FROM generate_series(CAST($1 AS bigint), CAST($2 AS bigint)) AS n
"""
_PENDING = {"status": "'pending'", "consumer": "NULL", "finished": "NULL"}
_LONG_AGO = "now() - interval '1 day' + n * interval '1 ms'"
_INDEXES = """
SELECT indexname AS name, indexdef AS sql FROM pg_indexes
 WHERE tablename = 'tasks'
   AND indexname NOT IN (SELECT conname FROM pg_constraint WHERE conrelid = CAST('tasks' AS regclass))
"""


def task_id(n: int) -> UUID:
    """The id of row `n`: ids and instants grow alike."""
    return UUID(int=n)


@dataclass(frozen=True, slots=True)
class Crowd:
    """The database's URL, a connection as our processes open them, and the numbers of rows by what they are."""

    url: str
    connection: Connection
    ours: Connection
    waiting: range
    due: range
    running: range
    orphaned: range
    ended: range

    async def wait_behind(self, n: int) -> list[UUID]:
        """Commit `n` more tasks that are served, behind everything, and push nothing; their ids."""
        ids = [uuid4() for _ in range(n)]
        await self.connection.executemany(
            "INSERT INTO tasks (id, kind, queue, priority, max_attempts, timeout) VALUES ($1, $2, $3, 5, 5, 60)",
            [(one, SERVED, SERVED_QUEUES[0]) for one in ids],
        )
        return ids


@asynccontextmanager
async def crowded(url: str) -> AsyncIterator[Crowd]:
    """Make it, and drop it at the end. Nobody renews its statistics: those of the empty table are kept until then."""
    async with migrated(url, f"crowd_{uuid4().hex}") as own:
        connection: Connection = await asyncpg.connect(own)
        engine = make_engine(own, role="test", pool_size=2)
        try:
            numbers = await _fill(connection)
            async with engine.connect() as pooled:
                ours = (await pooled.get_raw_connection()).driver_connection
                assert ours is not None
                yield Crowd(own, connection, ours, **numbers)
        finally:
            await engine.dispose()
            await connection.close()


async def _fill(connection: Connection) -> dict[str, range]:
    await connection.execute("ALTER TABLE tasks SET (autovacuum_enabled = off)")
    await connection.execute("ALTER TABLE tasks SET UNLOGGED")
    await connection.execute("ANALYZE tasks")
    await connection.executemany(
        "INSERT INTO consumers (id, host, pid, queues, kinds, capacity, lease_seconds, expires_at) "
        "VALUES ($1, 'here', 1, $2, $3, 100, 30, now() + CAST($4 AS integer) * interval '1 day')",
        [(ALIVE, SERVED_QUEUES, [SERVED], 1), (DEAD, SERVED_QUEUES, [SERVED, GONE], -1)],
    )
    indexes = await connection.fetch(_INDEXES)
    for index in indexes:
        await connection.execute(f'DROP INDEX "{index["name"]}"')
    numbers = {}
    first = 1
    for name, n, columns in _FILLS:
        numbers[name] = range(first, first + n)
        first += n
        await connection.execute(_INSERT.format(**columns), numbers[name][0], numbers[name][-1])
    for index in indexes:
        await connection.execute(index["sql"])
    return {name: found for name, found in numbers.items() if name not in {"rows", "lists", "kinds", "later"}}


def _served(run: str, created: str, **others: str) -> dict[str, str]:
    queue = f"(ARRAY{list(SERVED_QUEUES)})[1 + n % {len(SERVED_QUEUES)}]"
    common = {"created": created, "run": run, "kind": f"'{SERVED}'", "queue": queue, "priority": "5"}
    return {**common, **_PENDING, **others}


def _unserved(queue: str, priority: str) -> dict[str, str]:
    kind = f"'{GONE}-' || n % 3"
    when = {"created": _LONG_AGO, "run": _LONG_AGO}
    return {**when, "kind": kind, "queue": queue, "priority": priority, **_PENDING}


_FILLS: list[tuple[str, int, dict[str, str]]] = [
    ("ended", ENDED, _served(_LONG_AGO, _LONG_AGO, status="'completed'", finished=_LONG_AGO)),
    ("rows", ROWS, _unserved("'default'", "CASE WHEN n % 2 = 0 THEN 9 ELSE 5 END")),
    ("lists", LISTS, _unserved("'unserved-' || n", "5")),
    ("kinds", LISTS, {**_unserved("'default'", "5"), "kind": "'" + GONE + "-' || n"}),
    ("orphaned", ORPHANED, _served("now()", "now()", status="'processing'", consumer=f"'{DEAD}'::uuid")),
    ("running", RUNNING, _served("now()", "now()", status="'processing'", consumer=f"'{ALIVE}'::uuid")),
    ("due", DUE, _served("now() - interval '1 second'", "now() - interval '1 minute'")),
    ("later", LATER, _served("now() + interval '1 day' + n * interval '1 ms'", "now()")),
    ("waiting", WAITING, _served("now() - interval '10 seconds'", "now() - interval '10 seconds'")),
]
