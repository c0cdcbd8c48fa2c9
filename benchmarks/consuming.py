"""A consumer process of ours at work: started, watched until nothing is left, and stopped. Judges nothing."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from benchmarks.costs import resident
from benchmarks.cpu import Meter
from benchmarks.preload import LIST
from benchmarks.stage import Program, Stage, until

CAPACITY = 100
SETTINGS = {
    "HANDLERS": "benchmarks.handlers",
    "WORKER_QUEUE_MAXSIZE": str(CAPACITY),
    "QUEUES": "default",
    "LEASE_SECONDS": "30",
    "DRAIN_SECONDS": "25",
    "RETENTION_DAYS": "30",
}
LOOK = 0.02
_SERVES = "SELECT EXISTS (SELECT FROM consumers WHERE expires_at > now())"
_LEFT = (
    "SELECT EXISTS (SELECT FROM tasks WHERE status = 'pending')"
    " OR EXISTS (SELECT FROM tasks WHERE status = 'processing')"
)


def of_capacity(capacity: int) -> dict[str, str]:
    """The settings of a consumer that runs so many handlers at once."""
    return {**SETTINGS, "WORKER_QUEUE_MAXSIZE": str(capacity)}


@asynccontextmanager
async def observer(stage: Stage) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection that looks on within one transaction and rolls it back: its looks are nobody's commits.

    Between two looks it holds no snapshot, so it keeps no dead row alive.
    """
    async with stage.connection() as connection:
        transaction = connection.transaction(isolation="read_committed", readonly=True)
        await transaction.start()
        try:
            yield connection
        finally:
            if not connection.is_closed():
                await transaction.rollback()


@asynccontextmanager
async def serving(
    stage: Stage, *, capacity: int = CAPACITY, settings: dict[str, str] | None = None
) -> AsyncIterator[Program]:
    """A consumer that lives by the database's word; stopped at the end, BrokenRun when that fails."""
    chosen = {**of_capacity(capacity), **(settings or {})}
    async with stage.program("consumer", settings=chosen) as program:
        async with observer(stage) as look:

            async def serves() -> bool:
                return bool(await look.fetchval(_SERVES))

            await until(serves, every=LOOK, program=program)
        yield program
        await program.stop()


async def nothing_left(stage: Stage, program: Program) -> None:
    """Wait until no task is pending and none is running. Raises BrokenRun when `program` dies meanwhile."""
    async with observer(stage) as look:

        async def done() -> bool:
            return not await look.fetchval(_LEFT)

        await until(done, every=LOOK, program=program)


async def emptied(stage: Stage, *, capacity: int = CAPACITY) -> dict[str, Any]:
    """Let a new consumer empty the list that is there: wall clock from its first pull, processors, memory."""
    before = await stage.redis.llen(LIST)
    started = time.monotonic()

    async def pulled() -> bool:
        return bool(await stage.redis.llen(LIST) < before)

    async def drained() -> bool:
        return await stage.redis.llen(LIST) == 0

    async with stage.program("consumer", settings=of_capacity(capacity)) as program:
        await until(pulled, every=LOOK / 4, program=program)
        began = time.monotonic()
        with Meter({"consumer": program.pid, **stage.server_pids}) as meter:
            await until(drained, every=LOOK, program=program)
            await nothing_left(stage, program)
        ended = time.monotonic()
        memory = resident(program.pid)
        await program.stop()
    return {
        "start_seconds": round(began - started, 3),
        "wall_seconds": round(ended - began, 4),
        "consumer_rss_bytes": memory,
        **meter.facts,
    }
