"""How fast one consumer process empties a full queue, beside its statements alone and beside one task per transaction.

Every side works on a fresh database with the same rows. What counts are rows that say `completed`, read afterwards.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from benchmarks.cpu import Meter
from benchmarks.handlers import KIND
from benchmarks.preload import LIST, preload
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import BrokenRun, Program, Stage, until

CAPACITY = 100
WORKLOAD = "drain"
OURS, BARE, SESSIONS = "sluice", "bare statements", "one task per transaction"
COMPARISONS = (
    Comparison("drain, one consumer process", WORKLOAD, OURS, BARE, target=0.45),
    Comparison("drain, one consumer process", WORKLOAD, OURS, SESSIONS, target=15),
)
SETTINGS = {
    "HANDLERS": "benchmarks.handlers",
    "WORKER_QUEUE_MAXSIZE": str(CAPACITY),
    "QUEUES": "default",
    "LEASE_SECONDS": "30",
    "DRAIN_SECONDS": "25",
    "RETENTION_DAYS": "30",
}
SESSIONS_POOL = 5
_FEWER = 20
_LOOK = 0.02
# A row's token grows with every change of its status: 2 is one claim and one finish, more is a claim too many.
_COUNT = """
SELECT count(*) FILTER (WHERE status <> 'completed') AS lost,
       count(*) FILTER (WHERE fencing_token > 2) AS repeated,
       CAST(extract(epoch FROM max(finished_at) - min(started_at)) AS double precision) AS seconds
  FROM tasks
"""


async def run(stage: Stage, *, tasks: int, rounds: int, repeats: int) -> AsyncIterator[Run]:
    """Every run of every side, as it is done."""
    for turn in turns((OURS, BARE, SESSIONS), rounds):
        async for made in repeated(partial(_round, stage, turn, tasks), repeats):
            yield made


async def _round(stage: Stage, turn: Turn, tasks: int, attempt: int) -> AsyncIterator[Run]:
    for side in turn.order:
        n = max(1, tasks // _FEWER) if side == SESSIONS else tasks
        await stage.fresh()
        await preload(stage, n, KIND)
        before = await stage.written_bytes()
        facts = await _SIDES[side](stage)
        facts["wal_bytes_per_task"] = round((await stage.written_bytes() - before) / n)
        value, counted = await _count(stage, side, n, facts)
        yield Run(WORKLOAD, side, turn.number, attempt, value, "tasks/s", counted)


async def _ours(stage: Stage) -> dict[str, Any]:
    before = await stage.redis.llen(LIST)
    started = time.monotonic()

    async def pulled() -> bool:
        return bool(await stage.redis.llen(LIST) < before)

    async def drained() -> bool:
        return await stage.redis.llen(LIST) == 0

    async with stage.program("consumer", settings=SETTINGS) as program, stage.connection() as connection:

        async def done() -> bool:
            return not await connection.fetchval(
                "SELECT EXISTS (SELECT FROM tasks WHERE status = 'pending')"
                " OR EXISTS (SELECT FROM tasks WHERE status = 'processing')"
            )

        await until(pulled, every=_LOOK / 4, program=program)
        began = time.monotonic()
        with Meter({"consumer": program.pid, **stage.server_pids}) as meter:
            await until(drained, every=_LOOK, program=program)
            await until(done, every=_LOOK, program=program)
        ended = time.monotonic()
        await program.stop()
    return {
        "start_seconds": round(began - started, 3),
        "wall_seconds": round(ended - began, 4),
        **meter.facts,
    }


async def _answered(stage: Stage, program: Program) -> dict[str, Any]:
    """Facts about a driver that ends by itself."""
    with Meter(stage.server_pids) as meter:
        answer = await program.answer()
    meter.facts["cpu_seconds"]["consumer"] = answer["cpu_seconds"]
    return {"wall_seconds": answer["wall_seconds"], **meter.facts}


async def _bare(stage: Stage) -> dict[str, Any]:
    async with stage.program("benchmarks.bare", "drain", str(CAPACITY)) as program:
        return await _answered(stage, program)


async def _sessions(stage: Stage) -> dict[str, Any]:
    async with stage.program("benchmarks.sessions", str(CAPACITY), str(SESSIONS_POOL)) as program:
        return await _answered(stage, program)


async def _count(stage: Stage, side: str, n: int, facts: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    """The rate, as the rows tell it. Raises BrokenRun when a task was lost or done twice: then there is no rate."""
    async with stage.connection() as connection:
        found = await connection.fetchrow(_COUNT)
    if found is None or found["lost"] or found["repeated"]:
        raise BrokenRun(f"{side}: of {n} tasks {found}: lost or repeated, so there is no rate")
    return n / found["seconds"], {
        "tasks": n,
        "seconds": round(found["seconds"], 4),
        "lost": found["lost"],
        "repeated": found["repeated"],
        "wall_rate": round(n / facts["wall_seconds"], 1),
        "cpu_seconds_per_1000": round(1000 * sum(facts["cpu_seconds"].values()) / n, 4),
        **facts,
    }


_SIDES = {OURS: _ours, BARE: _bare, SESSIONS: _sessions}
