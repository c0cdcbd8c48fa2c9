"""Scene `full`: Redis takes nothing more (maxmemory, noeviction). Work is done from the rows, and health says why.

`undisturbed` and `full` in alternation: as many tasks in one batch, from the first start to the last end. Then the
memory is given back, and the way to a hint is timed.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from benchmarks.consuming import nothing_left
from benchmarks.cpu import Meter
from benchmarks.lists.look import HINT_MS
from benchmarks.lists.place import Place, bodies, never_started, opened, waits
from benchmarks.quantiles import quantiles, told
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import Stage

FULL, UNDISTURBED = "Redis full", "undisturbed"
RATE, FIRST = "lists, full, rate", "lists, full, refusal to first start"
SAID, UNEXPLAINED = "lists, full, health degraded after", "lists, full, health without the reason"
BACK, AFTER = "lists, full, healthy again after", "lists, full, start p99 afterwards"
COMPARISONS = (
    Comparison("Redis full: rate of 1,000 tasks", RATE, FULL, UNDISTURBED, target=0.4),
    Comparison("Redis full: refusal to the first start", FIRST, FULL, UNDISTURBED, at_most=2),
    Comparison("Redis full: until health says degraded", SAID, FULL, None, at_most=5),
    Comparison("Redis full: health does not say why", UNEXPLAINED, FULL, None, at_most=0),
    Comparison("Redis full: until health is healthy again", BACK, FULL, None, at_most=10),
    Comparison("Redis full: submit to start afterwards, p99", AFTER, FULL, None, at_most=HINT_MS),
)
RUNS = 8
_TASKS = 1000
_AFTER, _PER_SECOND = 100, 20.0
_PATIENCE = 20.0
_LOOK = 0.2
_SETTLES = 2.0
_WHY = re.compile(r"memory|OOM|refus|full", re.IGNORECASE)
_FOUND = """
SELECT CAST(extract(epoch FROM max(finished_at) - min(started_at)) AS double precision) AS seconds,
       CAST(extract(epoch FROM min(started_at) - min(created_at)) AS double precision) AS first,
       CAST(extract(epoch FROM max(finished_at) - min(created_at)) AS double precision) AS whole
  FROM tasks
 WHERE id = ANY ($1)
"""

Measured = tuple[str, float, str, dict[str, Any]]


async def run(stage: Stage, *, rounds: int, repeats: int) -> AsyncIterator[Run]:
    """Every figure of each round."""
    for turn in turns((UNDISTURBED, FULL), rounds):
        async for made in repeated(partial(_round, stage, turn), repeats):
            yield made


async def _round(stage: Stage, turn: Turn, attempt: int) -> AsyncIterator[Run]:
    for side in turn.order:
        await stage.fresh()
        async with opened(stage, {}) as place:
            await waits(stage, await place.submit_together(bodies(_TASKS)))  # warm
            await asyncio.sleep(_SETTLES)
            measured = await (_full(place) if side == FULL else _undisturbed(place))
        for workload, value, unit, facts in measured:
            yield Run(workload, side, turn.number, attempt, value, unit, facts)


async def _undisturbed(place: Place) -> list[Measured]:
    facts = await _batch(place)
    return _of_batch(facts)


async def _full(place: Place) -> list[Measured]:
    async with _refusing(place.stage):
        facts = await _batch(place)
        said, answer = await _health(place, "degraded")
    back, _ = await _health(place, "healthy")
    ids = await place.submit(*bodies(_AFTER), per_second=_PER_SECOND)
    after = list((await waits(place.stage, ids)).values())
    noise = {name: facts[name] for name in ("others", "steal")}
    return [
        *_of_batch(facts),
        (SAID, said, "s", {"said": answer, **noise}),
        (UNEXPLAINED, float(not _WHY.search(str(answer))), "answers", {"said": answer, **noise}),
        (BACK, back, "s", noise),
        (AFTER, quantiles(after)["p99"], "ms", {**told(after, "ms"), **noise}),
    ]


def _of_batch(facts: dict[str, Any]) -> list[Measured]:
    return [(RATE, _TASKS / facts["seconds"], "tasks/s", facts), (FIRST, facts["first"], "s", facts)]


@asynccontextmanager
async def _refusing(stage: Stage) -> AsyncIterator[None]:
    """Every command that needs memory is refused meanwhile."""
    await stage.redis.config_set("maxmemory-policy", "noeviction")
    await stage.redis.config_set("maxmemory", 1)
    try:
        yield
    finally:
        await stage.redis.config_set("maxmemory", 0)


async def _batch(place: Place) -> dict[str, Any]:
    """What became of a batch. One that is not done in time counts as if the rest ended now."""
    with Meter({"consumer": place.consumers[0].pid, **place.stage.server_pids}) as meter:
        ids = await place.submit_together(bodies(_TASKS))
        await waits(place.stage, ids, within=_PATIENCE)
        never = await never_started(place.stage, ids)
        await nothing_left(place.stage, place.consumers[0])
    async with place.stage.connection() as connection:
        row = await connection.fetchrow(_FOUND, ids)
    found = {name: _PATIENCE if value is None or never else value for name, value in dict(row or {}).items()}
    return {**found, "tasks": _TASKS, "never_started": never, **meter.facts}


async def _health(place: Place, status: str) -> tuple[float, dict[str, Any]]:
    """Seconds until health says so, and all that it says besides queues and consumers."""
    began = time.monotonic()
    while True:
        answer = (await place.http.get("/health")).json()
        took = time.monotonic() - began
        if answer["status"] == status or took > _PATIENCE:
            return took, {
                name: value for name, value in answer.items() if name not in {"queues", "consumers"}
            }
        await asyncio.sleep(_LOOK)
