"""Scene `unlisted`: how fast one consumer drains a backlog of which Redis knows nothing, beside the same in full lists.

Both sides submit over HTTP, so that their rows are alike, while a consumer counts as alive that has been killed: tasks
have an audience then, and nobody takes them. For one side Redis is flushed before the measured consumer starts.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from benchmarks.audit import audit
from benchmarks.consuming import nothing_left
from benchmarks.costs import per_thousand, resident
from benchmarks.cpu import Meter
from benchmarks.lists.place import bodies, consuming, opened
from benchmarks.lists.rediskeys import entries
from benchmarks.preload import PAYLOAD, settle
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import Stage

DRAIN = "lists, drain"
UNLISTED, LISTED = "not in lists", "in full lists"
COMPARISONS = (Comparison("drain of a backlog that no list holds", DRAIN, UNLISTED, LISTED, target=0.9),)
RUNS = 2
ROWS, MANY_ROWS = 200_000, 1_000_000
_OLD_SECONDS = 5.0
"""A row that has just come in is not taken for lost: its push may be on the way."""
_AGE = "SELECT CAST(extract(epoch FROM clock_timestamp() - max(created_at)) AS double precision) FROM tasks"


async def run(stage: Stage, *, rounds: int, repeats: int, rows: int = ROWS) -> AsyncIterator[Run]:
    """Both sides of each round."""
    for turn in turns((UNLISTED, LISTED), rounds):
        async for made in repeated(partial(_round, stage, turn, rows), repeats):
            yield made


async def _round(stage: Stage, turn: Turn, rows: int, attempt: int) -> AsyncIterator[Run]:
    for side in turn.order:
        await stage.fresh()
        await _backlog(stage, rows)
        if side == UNLISTED:
            await stage.redis.flushall()
        facts = {"listed_entries": await entries(stage), **await _drained(stage)}
        found = await audit(stage, side, rows)
        told = {**found.facts(), **facts, **per_thousand(facts["cpu_seconds"], rows)}
        yield Run(DRAIN, side, turn.number, attempt, found.rate, "tasks/s", told)


async def _backlog(stage: Stage, rows: int) -> None:
    """Tasks as clients submit them, for consumers of which the only one has just died unseen."""
    async with opened(stage, {"LEASE_SECONDS": "3600"}, stop=False) as place:
        os.kill(place.consumers[0].pid, signal.SIGKILL)
        await place.submit_together(bodies(rows, payload={"note": "x" * (len(PAYLOAD) - 11)}))
        await place.api.program.stop()
    async with stage.connection() as connection:
        await settle(connection)
        age = await connection.fetchval(_AGE)
    await asyncio.sleep(max(0.0, _OLD_SECONDS - age))


async def _drained(stage: Stage) -> dict[str, Any]:
    async with consuming(stage, {}, alive=2) as consumer:
        with Meter({"consumer": consumer.pid, **stage.server_pids}) as meter:
            await nothing_left(stage, consumer)
        memory = resident(consumer.pid)
        await consumer.stop()
    return {"consumer_rss_bytes": memory, **meter.facts}
