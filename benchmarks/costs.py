"""What a task costs: write-ahead log, commits, Redis commands, and what each program used. Judges nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import asyncpg
import psutil

from benchmarks.stage import DATABASE, BrokenRun, Stage

_ELSEWHERE = "postgres"
_LOOKS, _PAUSE = 500, 0.02
# A backend adds its commits to the sum once a second at most, and what is left when it ends.
_OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'"
_SEEN = """
SELECT xact_commit AS commits, CAST(pg_current_wal_lsn() - '0/0'::pg_lsn AS bigint) AS wal
  FROM pg_stat_database
 WHERE datname = $1
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """Where the counters stand: commits in the benchmark's database, bytes of log, commands that were not ours."""

    commits: int
    wal: int
    commands: int


class Costs:
    """`async with Costs(stage) as costs:` around whole lives of programs, then `costs.per_task(n)`.

    Looks from another database, whose commits are not in the sum, and waits until everybody has left this one: only
    then is the sum complete. So starting and stopping are part of it.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def __aenter__(self) -> Self:
        self._before = self._after = await read(self._stage)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._after = await read(self._stage)

    def per_task(self, n: int) -> dict[str, float]:
        """The difference between both readings, by task."""
        return {
            "wal_bytes_per_task": round((self._after.wal - self._before.wal) / n),
            "commits_per_task": round((self._after.commits - self._before.commits) / n, 5),
            "redis_commands_per_task": round((self._after.commands - self._before.commands) / n, 5),
        }


async def read(stage: Stage) -> Reading:
    """Both stores' counters, once nobody is connected to the database. Raises BrokenRun when somebody stays."""
    connection = await asyncpg.connect(stage.urls.database_url, database=_ELSEWHERE)
    try:
        await _alone(connection)
        row = await connection.fetchrow(_SEEN, DATABASE)
    finally:
        await connection.close()
    if row is None:
        raise BrokenRun(f"there is no database {DATABASE} to read the costs of")
    return Reading(row["commits"], row["wal"], await commands(stage))


async def commands(stage: Stage) -> int:
    """How many commands Redis has taken from others than us: we have one connection, and it knows its own."""
    mine = await stage.redis.client_info()
    info = await stage.redis.info("stats")
    return int(info["total_commands_processed"]) - int(mine["tot-cmds"])


async def _alone(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    for _ in range(_LOOKS):
        if not await connection.fetchval(_OTHERS, DATABASE):
            return
        await asyncio.sleep(_PAUSE)
    raise BrokenRun(f"somebody is still connected to {DATABASE}: its commits cannot be counted")


def resident(pid: int) -> int:
    """Bytes of memory that a program and its descendants hold, shared pages counted for each."""
    process = psutil.Process(pid)
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


def per_thousand(cpu_seconds: Mapping[str, float], n: int) -> dict[str, Any]:
    """CPU seconds for 1,000 tasks, in all and by program."""
    return {
        "cpu_seconds_per_1000": round(1000 * sum(cpu_seconds.values()) / n, 4),
        "cpu_seconds_per_1000_by_process": {
            name: round(1000 * spent / n, 4) for name, spent in cpu_seconds.items()
        },
    }
