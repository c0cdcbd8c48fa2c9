"""How late delayed tasks start: 10,000 that fall due within 20 s, with a million in the table that are due much later.

Beside it the same without those. Lateness is `started_at - run_at` of the rows; one that started early makes the run
void, and so does one of the million that was touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import httpx2

from benchmarks.consuming import observer, serving
from benchmarks.costs import Costs, per_thousand, resident
from benchmarks.cpu import Meter
from benchmarks.handlers import KIND
from benchmarks.preload import PAYLOAD, settle
from benchmarks.quantiles import histogram, quantiles, told
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import BrokenRun, Stage, until
from benchmarks.submit import Site, serve

CROWDED, ALONE = "with future rows", "without"
QUANTILES = ("p50", "p99", "max")
COMPARISONS = tuple(
    Comparison(
        f"delayed tasks start late, {name}",
        f"delayed, {name}",
        CROWDED,
        ALONE,
        at_most=250 if name == "p99" else None,
    )
    for name in QUANTILES
)
FUTURE = 1_000_000
TASKS = 10_000
SECONDS = 20.0
_FIRST_AFTER = 3.0
_LOOK = 0.25
_BUCKETS_MS = (5, 10, 25, 50, 100, 250, 500, 1000)
_FILL = """
INSERT INTO tasks (id, kind, queue, priority, message, payload, run_at, max_attempts, timeout)
SELECT uuidv7(), $1, 'default', 5, 'later', CAST($2 AS json),
       now() + interval '1 day' + n * interval '1 second', 5, 3600
  FROM generate_series(1, $3) AS n
"""
_LEFT = """
SELECT EXISTS (
         SELECT FROM tasks
          WHERE status = 'pending' AND run_at > created_at AND run_at < now() + interval '1 hour'
       )
       OR EXISTS (SELECT FROM tasks WHERE status = 'processing')
"""
_COUNT = """
SELECT count(*) FILTER (WHERE status = 'completed') AS completed,
       count(*) FILTER (WHERE fencing_token > 2) AS repeated,
       count(*) FILTER (WHERE started_at < run_at) AS early,
       count(*) FILTER (WHERE fencing_token = 0 AND status = 'pending') AS untouched
  FROM tasks
"""
_LATE = """
SELECT CAST(extract(epoch FROM started_at - run_at) * 1000 AS double precision) AS late
  FROM tasks
 WHERE status = 'completed'
"""


async def run(
    stage: Stage, *, rounds: int, repeats: int, future: int = FUTURE, tasks: int = TASKS
) -> AsyncIterator[Run]:
    """Every run of every side, as it is done; a run for each quantile."""
    for turn in turns((CROWDED, ALONE), rounds):
        async for made in repeated(partial(_round, stage, turn, future, tasks), repeats):
            yield made


async def _round(stage: Stage, turn: Turn, future: int, tasks: int, attempt: int) -> AsyncIterator[Run]:
    for side in turn.order:
        rows = future if side == CROWDED else 0
        await stage.fresh()
        async with stage.connection() as connection:
            if rows:
                await connection.execute(_FILL, KIND, PAYLOAD, rows, timeout=600)
            await settle(connection)
        async with Costs(stage) as costs:
            facts = await _fall_due(stage, tasks)
        late, counted = await _count(stage, side, tasks, rows)
        told_of = {
            **counted,
            "future_rows": rows,
            **told(late, "ms"),
            "lateness_ms": histogram(late, _BUCKETS_MS),
            **per_thousand(facts["cpu_seconds"], tasks),
            **costs.per_task(tasks),
            **facts,
        }
        found = quantiles(late)
        for name in QUANTILES:
            yield Run(f"delayed, {name}", side, turn.number, attempt, found[name], "ms", told_of)


async def _fall_due(stage: Stage, tasks: int) -> dict[str, Any]:
    """Submit all of them at once over HTTP, and wait until the last has been run."""
    async with AsyncExitStack() as stack:
        consumer = await stack.enter_async_context(serving(stage))
        api = await serve(stage, stack, "api")
        with Meter({"api": api.program.pid, "consumer": consumer.pid, **stage.server_pids}) as meter:
            await _submit(api, tasks)
            await asyncio.sleep(_FIRST_AFTER + SECONDS)
            async with observer(stage) as look:

                async def done() -> bool:
                    return not await look.fetchval(_LEFT)

                await until(done, every=_LOOK, program=consumer)
        memory = resident(consumer.pid)
        await api.program.stop()
    return {"consumer_rss_bytes": memory, **meter.facts}


async def _submit(api: Site, tasks: int) -> None:
    """One batch whose tasks fall due one after the other."""
    delays = [_FIRST_AFTER + SECONDS * number / tasks for number in range(tasks)]
    body = {"tasks": [{"kind": KIND, "payload": {}, "delay": delay} for delay in delays]}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{api.port}", timeout=30) as client:
        answer = await client.post("/tasks/batch", json=body)
    if answer.status_code != httpx2.codes.CREATED:
        raise BrokenRun(f"/tasks/batch answered {answer.status_code}: {answer.text[:500]}")


async def _count(stage: Stage, side: str, tasks: int, future: int) -> tuple[list[float], dict[str, Any]]:
    """How late each was, in milliseconds. Raises BrokenRun when one was lost, early or done twice."""
    async with stage.connection() as connection:
        row = await connection.fetchrow(_COUNT)
        late = [found["late"] for found in await connection.fetch(_LATE)]
    counted = dict(row or {})
    if counted != {"completed": tasks, "repeated": 0, "early": 0, "untouched": future}:
        raise BrokenRun(f"{side}: of {tasks} delayed tasks and {future} future rows: {counted}")
    return late, {"tasks": tasks, **counted}
