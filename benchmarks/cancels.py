"""A storm of cancels over PATCH: every second of 20,000 queued tasks while a consumer works, then 100 that run.

Beside the storm: cancel.sql alone, sent by asyncpg under the same consumer. A handler that started is known by a line
that it writes itself; one that wrote it although its row says that the cancel came before the claim makes the run void.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.consuming import CAPACITY, LOOK, nothing_left, observer, serving
from benchmarks.costs import Costs, per_thousand, resident
from benchmarks.cpu import Meter
from benchmarks.handlers import RECORDED, STOPPED
from benchmarks.quantiles import quantiles, told
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import BrokenRun, Stage, until
from benchmarks.submit import serve
from benchmarks.waiting import wait_in_line

OURS, BARE = "sluice", "bare statements"
STORM = "cancels, queued"
COMPARISONS = (
    Comparison("PATCH canceled, 64 connections", STORM, OURS, BARE),
    Comparison("cancel answered to handler stopped, p50", "cancels, running, p50", OURS, None, at_most=100),
    Comparison("cancel answered to handler stopped, p99", "cancels, running, p99", OURS, None, at_most=100),
)
TASKS = 20_000
RUNNING = 100
_CONNECTIONS = {OURS: 64, BARE: 4}
_COUNT = """
SELECT count(*) FILTER (WHERE status = 'completed') AS completed,
       count(*) FILTER (WHERE canceled_from = 'pending') AS before_start,
       count(*) FILTER (WHERE canceled_from = 'processing') AS while_running,
       count(*) FILTER (WHERE status NOT IN ('completed', 'canceled')) AS lost,
       count(*) FILTER (WHERE fencing_token > 2) AS repeated,
       count(*) FILTER (WHERE canceled_from = 'pending' AND started_at IS NOT NULL) AS claimed
  FROM tasks
"""
_NEVER = "SELECT CAST(id AS text) FROM tasks WHERE canceled_from = 'pending'"


async def run(stage: Stage, *, rounds: int, repeats: int, tasks: int = TASKS) -> AsyncIterator[Run]:
    """Every run of every side, as it is done; the cancels of running tasks are ours alone."""
    for turn in turns((OURS, BARE), rounds):
        async for made in repeated(partial(_round, stage, turn, tasks), repeats):
            yield made


async def _round(stage: Stage, turn: Turn, tasks: int, attempt: int) -> AsyncIterator[Run]:
    for side in turn.order:
        rate, facts = await _storm(stage, side, tasks)
        yield Run(STORM, side, turn.number, attempt, rate, "cancels/s", facts)
    stopped, facts = await _while_running(stage)
    for name, value in quantiles(stopped).items():
        if name in {"p50", "p99"}:
            yield Run(f"cancels, running, {name}", OURS, turn.number, attempt, value, "ms", facts)


async def _storm(stage: Stage, side: str, tasks: int) -> tuple[float, dict[str, Any]]:
    """Cancel every second task, in no order, as soon as the first has started."""
    await stage.fresh()
    with tempfile.TemporaryDirectory() as directory:
        starts = Path(directory, "starts")
        ids = await wait_in_line(stage, [RECORDED] * tasks, payload=_payload(starts))
        chosen = random.sample(ids[::2], len(ids[::2]))
        async with Costs(stage) as costs:
            facts = await _cancel(stage, side, Path(directory), chosen, started=starts.exists)
        found = await _count(stage, side, tasks, starts, facts["statuses"])
    n = len(chosen)
    rate = n / facts["seconds"]
    return rate, {**found, **per_thousand(facts["cpu_seconds"], n), **costs.per_task(tasks), **facts}


async def _while_running(stage: Stage) -> tuple[list[float], dict[str, Any]]:
    """Cancel as many tasks as run at once; the milliseconds from each answer until its handler had stopped."""
    await stage.fresh()
    with tempfile.TemporaryDirectory() as directory:
        stops = Path(directory, "stops")
        ids = await wait_in_line(stage, [STOPPED] * min(RUNNING, CAPACITY), payload=_payload(stops))
        facts = await _cancel(stage, OURS, Path(directory), ids, started=None)
        answers = _lines(Path(directory, "answers"))
        stopped = {one: float(at) for one, at in _lines(stops)}
    if sorted(stopped) != sorted(ids) or facts["statuses"] != {"200": len(ids)}:
        raise BrokenRun(f"{len(stopped)} of {len(ids)} running handlers were stopped by {facts['statuses']}")
    waited = [1000 * (stopped[one] - float(at)) for one, _status, at in answers]
    return waited, {**facts, **told(waited, "ms")}


async def _cancel(
    stage: Stage, side: str, directory: Path, ids: list[str], *, started: Callable[[], bool] | None
) -> dict[str, Any]:
    """Cancel these while a consumer works, over HTTP or by statements. `started` None: once all of them run."""
    listed, answers = directory / "ids", directory / "answers"
    listed.write_text("\n".join(ids), encoding="utf-8")
    async with AsyncExitStack() as stack:
        api = await serve(stage, stack, "api")
        consumer = await stack.enter_async_context(serving(stage))
        async with observer(stage) as look:

            async def under_way() -> bool:
                if started is not None:
                    return started()
                running = await look.fetchval("SELECT count(*) FROM tasks WHERE status = 'processing'")
                return bool(running == len(ids))

            await until(under_way, every=LOOK, program=consumer)
        words = [str(listed), str(answers), str(_CONNECTIONS[side])]
        words = ["http", *words, str(api.port)] if side == OURS else ["bare", *words]
        async with stage.program("benchmarks.cancelers", *words) as client:
            pids = {"api": api.program.pid, "consumer": consumer.pid, **stage.server_pids}
            with Meter(pids) as meter:
                facts = await client.answer()
        await nothing_left(stage, consumer)
        memory = resident(consumer.pid)
        await api.program.stop()
    meter.facts["cpu_seconds"]["client"] = facts.pop("cpu_seconds")
    return {**facts, "consumer_rss_bytes": memory, **meter.facts}


async def _count(
    stage: Stage, side: str, tasks: int, starts: Path, statuses: dict[str, int]
) -> dict[str, Any]:
    """How each task ended. Raises BrokenRun when one ran although its cancel had won, or rows belie answers."""
    async with stage.connection() as connection:
        row = await connection.fetchrow(_COUNT)
        never = {found["id"] for found in await connection.fetch(_NEVER)}
    started = [one for (one,) in _lines(starts)]
    counted = dict(row or {})
    wrongly = sum(one in never for one in started)
    ended = counted["completed"] + counted["before_start"] + counted["while_running"]
    canceled = counted["before_start"] + counted["while_running"]
    if (
        wrongly
        or counted["lost"]
        or counted["repeated"]
        or counted["claimed"]
        or ended != tasks
        or canceled != statuses.get("200", 0)
        or len(started) != len(set(started))
        or not counted["completed"] <= len(started) <= counted["completed"] + counted["while_running"]
    ):
        raise BrokenRun(f"{side}: {counted}, {len(started)} starts, {wrongly} of them wrong, {statuses}")
    return {**counted, "tasks": tasks, "starts": len(started), "wrongly_run": wrongly}


def _payload(record: Path) -> str:
    return json.dumps({"record": str(record)})


def _lines(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
