"""One consumer process works off so many tasks of a table, whatever else the table holds. Judged by the rows.

The observer asks Redis for the length of the list, and PostgreSQL only when that says that the end is near.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from benchmarks.consuming import LOOK, SETTINGS, observer
from benchmarks.costs import per_thousand, resident
from benchmarks.cpu import Meter
from benchmarks.handlers import KIND
from benchmarks.preload import ids, list_of, settle, values
from benchmarks.stage import BrokenRun, Stage, until
from sluice.core.ids import new_task_id
from sluice.core.task import DEFAULT_QUEUE
from sluice.db.statements import positional

_CHUNK = 5000
_IN_FLIGHT = 1000
"""More than a consumer ever holds: what it has not started when it is stopped goes back."""
_RANDOM_BITS = 80
# A row's token grows with every change of its status: 2 is one claim and one finish, more is a claim too many.
_NEW = """
SELECT count(*) AS tasks,
       count(*) FILTER (WHERE status <> 'completed') AS lost,
       count(*) FILTER (WHERE fencing_token > 2) AS repeated,
       CAST(extract(epoch FROM max(finished_at) - min(started_at)) AS double precision) AS seconds
  FROM tasks
 WHERE id >= $1
"""
_OLD = """
SELECT count(*) AS tasks,
       (SELECT count(*) FROM tasks WHERE status = 'processing') AS lost,
       count(*) FILTER (WHERE fencing_token > 2) AS repeated,
       CAST(extract(epoch FROM max(finished_at) - min(started_at)) AS double precision) AS seconds
  FROM tasks
 WHERE status = 'completed'
"""
_WORKED = (
    "SELECT count(*) FROM tasks WHERE status = 'completed' AND finished_at > now() - interval '30 minutes'"
)
"""All that this consumer did: until it is asked to stop it goes on with what else waits."""
_LEFT = """
SELECT EXISTS (SELECT FROM tasks WHERE status = 'pending' AND queue = $1 AND priority = $2)
    OR EXISTS (SELECT FROM tasks WHERE status = 'processing' AND priority = $2)
"""
_STORED = """
SELECT blks_read AS pages_read, blks_hit AS pages_hit, xact_commit AS commits
  FROM pg_stat_database
 WHERE datname = current_database()
"""
_TABLE = """
SELECT n_dead_tup AS dead_rows, autovacuum_count AS vacuumed,
       pg_table_size(relid) >> 20 AS table_mib, pg_indexes_size(relid) >> 20 AS indexes_mib
  FROM pg_stat_user_tables
 WHERE relname = 'tasks'
"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is to be done: `tasks` of one priority; `first` is the least id of new ones, None for the oldest ones."""

    tasks: int
    priority: int
    first: UUID | None = None

    @property
    def key(self) -> str:
        """Their list."""
        return list_of(self.priority)


async def submit(stage: Stage, n: int, priority: int) -> Stretch:
    """`n` new tasks, in rows and in their list, behind all that are there."""
    first = UUID(int=new_task_id().int >> _RANDOM_BITS << _RANDOM_BITS)
    stretch = Stretch(n, priority, first)
    sql, names = positional("submit")
    async with stage.connection() as connection:
        for start in range(0, n, _CHUNK):
            size = min(_CHUNK, n - start)
            new = values(size, KIND)
            new["priorities"] = [priority] * size
            await connection.execute(sql, *(new[name] for name in names))
            await stage.redis.lpush(stretch.key, *ids(new))
        await settle(connection)
    return stretch


async def work_off(stage: Stage, stretch: Stretch) -> tuple[float, dict[str, Any]]:
    """The rate of one consumer, and what else is known. Raises BrokenRun when a task was lost or done twice."""
    length = int(await stage.redis.llen(stretch.key))
    written = await stage.written_bytes()
    until_length = length - stretch.tasks - (_IN_FLIGHT if stretch.first is None else 0)
    async with _told(stage) as stored, observer(stage) as look:
        await look.execute("SET enable_seqscan = off")

        async def pulled() -> bool:
            return int(await stage.redis.llen(stretch.key)) < length

        async def drained() -> bool:
            return int(await stage.redis.llen(stretch.key)) <= until_length

        async def done() -> bool:
            return not await look.fetchval(_LEFT, DEFAULT_QUEUE, stretch.priority)

        async with stage.program("consumer", settings=SETTINGS) as program:
            await until(pulled, every=LOOK / 4, program=program)
            began = time.monotonic()
            with Meter({"consumer": program.pid, **stage.server_pids}) as meter:
                await until(drained, every=LOOK, program=program)
                if stretch.first is not None:
                    await until(done, every=LOOK, program=program)
                ended = time.monotonic()
            memory = resident(program.pid)
            await program.stop()
    written = await stage.written_bytes() - written
    found = await _count(stage, stretch)
    worked = found["worked"]
    return found["tasks"] / found["seconds"], {
        **found,
        "wall_seconds": round(ended - began, 4),
        "wal_bytes_per_task": round(written / worked),
        "commits_per_task": round(stored.pop("commits") / worked, 4),
        "consumer_rss_bytes": memory,
        **per_thousand(meter.facts["cpu_seconds"], stretch.tasks),
        **stored,
        **meter.facts,
    }


@asynccontextmanager
async def _told(stage: Stage) -> AsyncIterator[dict[str, Any]]:
    """What PostgreSQL counted meanwhile, filled in at the end: its counters arrive when a backend ends."""
    async with stage.connection() as connection:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        before = dict(await connection.fetchrow(_STORED) or {})
        table = dict(await connection.fetchrow(_TABLE) or {})
    facts: dict[str, Any] = {}
    yield facts
    async with stage.connection() as connection:
        after = dict(await connection.fetchrow(_STORED) or {})
        grown = dict(await connection.fetchrow(_TABLE) or {})
    facts.update({name: after[name] - before[name] for name in before})
    facts["table_before"], facts["table_after"] = table, grown


async def _count(stage: Stage, stretch: Stretch) -> dict[str, Any]:
    async with stage.connection() as connection:
        if stretch.first is None:
            row = await connection.fetchrow(_OLD)
        else:
            row = await connection.fetchrow(_NEW, stretch.first)
        found = {**(row or {}), "worked": await connection.fetchval(_WORKED)}
    # Of the oldest tasks a few more than asked for are done until the consumer has stopped.
    short = found["tasks"] < stretch.tasks if stretch.first is None else found["tasks"] != stretch.tasks
    if short or found["lost"] or found["repeated"]:
        raise BrokenRun(f"of {stretch.tasks} tasks {found}: lost or repeated, so there is no rate")
    return {**found, "seconds": round(found["seconds"], 4)}
