"""How many tasks a second one consumer completes while a producer keeps five thousand of them waiting.

Beside it the same producer with bare statements instead of a consumer: insert, claim and finish, and nothing else.
What counts are rows that were finished while tasks kept coming, after a start that is left out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import asyncpg

from benchmarks.audit import audit
from benchmarks.consuming import CAPACITY, nothing_left, serving
from benchmarks.costs import Costs, per_thousand, resident
from benchmarks.cpu import Meter
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import BrokenRun, Program, Stage

WORKLOAD = "sustained"
LOG, COMMITS = "sustained, log per task", "sustained, commits per task"
OURS, BARE = "sluice", "bare statements"
COMPARISONS = (
    Comparison("sustained, a producer beside it", WORKLOAD, OURS, BARE),
    Comparison("write-ahead log per task, insert included", LOG, OURS, BARE, at_most=2048),
    Comparison("commits per task, insert included", COMMITS, OURS, BARE, at_most=0.05),
)
SECONDS = 20.0
DEPTH = 5000
BATCH = 500
_WARM_UP = 2.0
_SHALLOW = 0.5
"""Below this share of the depth, on average, it was the producer that was measured."""
_WINDOW = """
WITH edges AS (
  SELECT min(created_at) + $1 * interval '1 second' AS since, max(created_at) AS until FROM tasks
)
SELECT count(*) AS finished,
       CAST(extract(epoch FROM max(edges.until) - max(edges.since)) AS double precision) AS seconds
  FROM tasks, edges
 WHERE finished_at > edges.since AND finished_at <= edges.until
"""


async def run(stage: Stage, *, rounds: int, repeats: int, seconds: float = SECONDS) -> AsyncIterator[Run]:
    """Every run of every side, as it is done; of each its rate, its log and its commits."""
    for turn in turns((OURS, BARE), rounds):
        async for made in repeated(partial(_round, stage, turn, seconds), repeats):
            yield made


async def _round(stage: Stage, turn: Turn, seconds: float, attempt: int) -> AsyncIterator[Run]:
    for side in turn.order:
        await stage.fresh()
        async with Costs(stage) as costs:
            facts = await _flow(stage, side, seconds)
        found = await audit(stage, side, facts["rows"])
        per_task = costs.per_task(found.tasks)
        async with stage.connection() as connection:
            rate, window = await _window(connection)
        told = {
            **found.facts(),
            "window_seconds": window,
            **per_thousand(facts["cpu_seconds"], found.tasks),
            **per_task,
            **facts,
        }
        yield Run(WORKLOAD, side, turn.number, attempt, rate, "tasks/s", told)
        noise = {name: facts[name] for name in ("others", "steal")}
        for workload, fact, unit in (
            (LOG, "wal_bytes_per_task", "bytes"),
            (COMMITS, "commits_per_task", "commits"),
        ):
            yield Run(workload, side, turn.number, attempt, per_task[fact], unit, noise)


async def _flow(stage: Stage, side: str, seconds: float) -> dict[str, Any]:
    """Tasks come for a while and are all worked off."""
    produce = ("produce", str(DEPTH), str(BATCH), str(round(_WARM_UP + seconds)))
    async with _worker(stage, side) as worker:
        with Meter({"consumer": worker.pid, **stage.server_pids}) as meter:
            async with stage.program("benchmarks.flow", *produce) as producer:
                facts = await producer.answer()
            memory = resident(worker.pid)  # now: the bare statements end by themselves a little later
            await nothing_left(stage, worker)
        if side == BARE:
            # Looking at what is left reads past all that is done: it may have ended before the meter read it.
            meter.facts["cpu_seconds"]["consumer"] = (await worker.answer())["cpu_seconds"]
    meter.facts["cpu_seconds"]["producer"] = facts.pop("cpu_seconds")
    _check_depth(side, facts)
    return {**facts, "consumer_rss_bytes": memory, **meter.facts}


def _worker(stage: Stage, side: str) -> AbstractAsyncContextManager[Program]:
    if side == OURS:
        return serving(stage)
    return stage.program("benchmarks.flow", "consume", str(CAPACITY))


def _check_depth(side: str, facts: dict[str, Any]) -> None:
    """Raise BrokenRun when tasks did not come fast enough: then the rate is the producer's."""
    depths = [depth for depth in facts["depths"][1:] if depth is not None]
    if not depths or sum(depths) / len(depths) < DEPTH * _SHALLOW:
        raise BrokenRun(f"{side} waited for the producer: its list held {depths}, not {DEPTH}")


async def _window(connection: asyncpg.Connection[asyncpg.Record]) -> tuple[float, float]:
    """Completions a second while tasks came, and for how many seconds that was."""
    row = await connection.fetchrow(_WINDOW, _WARM_UP)
    if row is None or not row["finished"]:
        raise BrokenRun("nothing was finished while tasks came")
    return row["finished"] / row["seconds"], round(row["seconds"], 3)
