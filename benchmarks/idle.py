"""What a consumer costs that has nothing to do: statements and commands a second, processors; then its first task.

PostgreSQL's statements are counted on their way, by a relay: the server itself counts transactions, not statements, and
writes its sums down late. Redis counts its commands exactly; ours are taken off.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import asyncpg

from benchmarks.audit import audit
from benchmarks.consuming import nothing_left, serving
from benchmarks.costs import commands, resident
from benchmarks.cpu import Meter
from benchmarks.handlers import KIND
from benchmarks.preload import LIST, ids, values
from benchmarks.relay import Relay
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import DATABASE, BrokenRun, Program, Stage
from sluice.db.statements import positional

OURS = "sluice"
STATEMENTS, COMMANDS, WAKE = "idle, statements", "idle, commands", "idle, wake"
COMPARISONS = (
    Comparison("idle consumer, PostgreSQL", STATEMENTS, OURS, None, at_most=5),
    Comparison("idle consumer, Redis", COMMANDS, OURS, None, at_most=2),
    Comparison("first task after that, submit to start", WAKE, OURS, None, at_most=15),
)
SECONDS = 30.0
_SETTLES = 5.0
_WAKE = """
SELECT CAST(extract(epoch FROM started_at - created_at) * 1000 AS double precision)
  FROM tasks
 WHERE id = CAST($1 AS uuid)
"""


async def run(stage: Stage, *, rounds: int, repeats: int, seconds: float = SECONDS) -> AsyncIterator[Run]:
    """Every run, as it is done: three figures of each silence."""
    for turn in turns((OURS,), rounds):
        async for made in repeated(partial(_round, stage, turn, seconds), repeats):
            yield made


async def _round(stage: Stage, turn: Turn, seconds: float, attempt: int) -> AsyncIterator[Run]:
    await stage.fresh()
    async with (
        Relay.to(stage.urls.database_url) as relay,
        serving(stage, settings={"DATABASE_URL": relay.url(DATABASE)}) as consumer,
        stage.connection() as connection,
    ):
        await _submit(stage, connection, consumer)
        await asyncio.sleep(_SETTLES)
        facts = await _silence(stage, relay, consumer, seconds)
        wake, facts["of_that_submitting_ms"] = await _submit(stage, connection, consumer)
    await audit(stage, OURS, 2)
    for workload, value, unit in (
        (STATEMENTS, facts["statements"] / facts["metered_seconds"], "statements/s"),
        (COMMANDS, facts["commands"] / facts["metered_seconds"], "commands/s"),
        (WAKE, wake, "ms"),
    ):
        yield Run(workload, OURS, turn.number, attempt, value, unit, facts)


async def _silence(stage: Stage, relay: Relay, consumer: Program, seconds: float) -> dict[str, Any]:
    """What goes by while nothing happens."""
    seen, sent, by_name = relay.seen.copy(), await commands(stage), await _by_name(stage)
    with Meter({"consumer": consumer.pid, **stage.server_pids}) as meter:
        await asyncio.sleep(seconds)
    went_by = relay.seen - seen
    sent, by_name = await commands(stage) - sent, await _by_name(stage) - by_name
    if not consumer.alive or not went_by:
        raise BrokenRun("an idle consumer said nothing: it is not alive, or not heard")
    return {
        "statements": went_by.total(),
        "by_statement": dict(went_by.most_common()),
        "commands": sent,
        "by_command_ours_included": dict(by_name.most_common()),
        "cpu_percent": {
            name: round(100 * spent / meter.facts["metered_seconds"], 2)
            for name, spent in meter.facts["cpu_seconds"].items()
        },
        "consumer_rss_bytes": resident(consumer.pid),
        **meter.facts,
    }


async def _by_name(stage: Stage) -> Counter[str]:
    found = await stage.redis.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): int(one["calls"]) for name, one in found.items()})


async def _submit(
    stage: Stage, connection: asyncpg.Connection[asyncpg.Record], consumer: Program
) -> tuple[float, float]:
    """One task, as the API submits it, on a connection that was there before, as the API's is.

    Returns the milliseconds from its row to its start, and how many the insert, its commit and the push took of them.
    """
    sql, names = positional("submit")
    new = values(1, KIND)
    began = time.monotonic()
    await connection.fetch(sql, *(new[name] for name in names))
    await stage.redis.lpush(LIST, *ids(new))
    submitting = 1000 * (time.monotonic() - began)
    await nothing_left(stage, consumer)
    waited: float = await connection.fetchval(_WAKE, ids(new)[0])
    return waited, round(submitting, 3)
