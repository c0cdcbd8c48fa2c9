"""What is looked at in any state of the database: an idle consumer's cost, starts with and without a hint, /health.

The state around it differs from scene to scene; the look is the same, so that scenes stand beside an empty database.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from benchmarks.cpu import Meter
from benchmarks.lists.place import Place, bodies, never_started, rows_alone, waits
from benchmarks.quantiles import quantiles, told
from benchmarks.results import Comparison, Run

CONSUMER_CPU, POSTGRESQL_CPU = "lists, idle consumer", "lists, idle PostgreSQL"
START = {"p50": "lists, start p50", "p99": "lists, start p99"}
LOST, LEFT = "lists, hint lost", "lists, never started"
HEALTH, OUTAGES = "lists, health", "lists, health not 200"
MISNAMED, UNDATED = "lists, depths too few or many", "lists, depths undated"
RUNS = 10
"""How many one look makes."""
SECONDS = 15.0
HINT_LOST_S, NO_HINT_MS, HINT_MS, HEALTH_MS, HEALTH_QUEUES = 5, 5000, 100, 100, 1000
CONSUMER_PERCENT, POSTGRESQL_PERCENT = 3, 5
_SETTLES = 5.0
_TASKS, _PER_SECOND, _WARM_UP = 160, 20.0, 10
_UNTOLD = 100
_LOOKS, _MOST_LOOKS, _STALE = 16, 100, 1.1
"""A look counts for 25 ms: the most looks reach each of the widest scene's 400 deep queues at 6 ms a queue."""
_OK = 200
_QUEUES = """
SELECT count(*)
  FROM (SELECT queue FROM tasks WHERE status = 'pending'
         UNION
        SELECT unnest(queues) FROM consumers WHERE expires_at > now()) AS each
"""


def comparisons(side: str, beside: str, *, redis: bool = True) -> tuple[Comparison, ...]:
    """What is found in one state, beside the same in another. Without Redis no hint ever arrives."""
    start = HINT_MS if redis else NO_HINT_MS
    return (
        Comparison(f"{side}: idle consumer, CPU", CONSUMER_CPU, side, beside, at_most=CONSUMER_PERCENT),
        Comparison(f"{side}: idle PostgreSQL, CPU", POSTGRESQL_CPU, side, beside, at_most=POSTGRESQL_PERCENT),
        Comparison(f"{side}: submit to start, p50", START["p50"], side, beside),
        Comparison(f"{side}: submit to start, p99", START["p99"], side, beside, at_most=start),
        Comparison(f"{side}: hint lost to start, max", LOST, side, beside, at_most=HINT_LOST_S),
        Comparison(f"{side}: tasks that never started", LEFT, side, None, at_most=0),
        Comparison(f"{side}: /health, max", HEALTH, side, beside, at_most=HEALTH_MS),
        Comparison(f"{side}: /health, answers but 200", OUTAGES, side, None, at_most=0),
        Comparison(f"{side}: /health, depths too few or many", MISNAMED, side, None, at_most=0),
        Comparison(f"{side}: /health, depths without counted_at", UNDATED, side, None, at_most=0),
    )


async def look(
    place: Place, side: str, number: int, attempt: int, *, seconds: float = SECONDS
) -> AsyncIterator[Run]:
    """All of it, one after the other, with an idle consumer before each."""

    def run(workload: str, value: float, unit: str, facts: dict[str, Any]) -> Run:
        return Run(workload, side, number, attempt, value, unit, facts)

    await asyncio.sleep(_SETTLES)
    facts = await _silence(place, seconds)
    yield run(CONSUMER_CPU, facts["cpu_percent"]["consumer"], "% of a core", facts)
    yield run(POSTGRESQL_CPU, facts["cpu_percent"]["postgresql"], "% of a core", facts)
    waited, facts = await _start(place)
    for name, workload in START.items():
        yield run(workload, quantiles(waited)[name], "ms", facts)
    waited, facts = await _lost(place)
    yield run(LOST, max(waited) / 1000, "s", facts)
    yield run(LEFT, facts["never_started"], "tasks", facts)
    facts = await health(place)
    yield run(HEALTH, facts["max_ms"], "ms", facts)
    yield run(OUTAGES, facts["looks"] - facts["statuses"].get(_OK, 0), "answers", facts)
    yield run(MISNAMED, facts["misnamed"], "depths", facts)
    yield run(UNDATED, facts["undated"], "depths", facts)


async def _silence(place: Place, seconds: float) -> dict[str, Any]:
    with _meter(place) as meter:
        await asyncio.sleep(seconds)
    spent = meter.facts["cpu_seconds"].items()
    percent = {name: round(100 * cpu / meter.facts["metered_seconds"], 2) for name, cpu in spent}
    return {"cpu_percent": percent, **meter.facts}


async def _start(place: Place) -> tuple[list[float], dict[str, Any]]:
    """Milliseconds to the start of tasks that come over HTTP one by one; the first few warm up."""
    with _meter(place) as meter:
        ids = await place.submit(*bodies(_TASKS + _WARM_UP), per_second=_PER_SECOND)
        found = await waits(place.stage, ids)
    waited = [found[one] for one in ids[_WARM_UP:]]
    never = await never_started(place.stage, ids)
    return waited, {**told(waited, "ms"), "never_started": never, **meter.facts}


async def _lost(place: Place) -> tuple[list[float], dict[str, Any]]:
    """Milliseconds to the start of tasks of which nobody was told, behind everything that is there."""
    with _meter(place) as meter:
        ids = await rows_alone(place.stage, _UNTOLD)
        waited = list((await waits(place.stage, ids)).values())
    return waited, {
        **told(waited, "ms"),
        "never_started": await never_started(place.stage, ids),
        **meter.facts,
    }


async def health(place: Place) -> dict[str, Any]:
    """How long answers of /health took, each so late that it is a new look, and what they held.

    Looks count queues in turn: a slow machine is asked further times, as long as one was not counted yet.
    """
    took: list[float] = []
    statuses: dict[int, int] = {}
    last: dict[str, Any] = {}
    with _meter(place) as meter:
        while len(took) < _LOOKS or (len(took) < _MOST_LOOKS and undated(last)):
            began = time.perf_counter()
            answer = await place.http.get("/health")
            took.append(1000 * (time.perf_counter() - began))
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            last = answer.json()
            await asyncio.sleep(_STALE)
    async with place.stage.connection() as connection:
        queues = await connection.fetchval(_QUEUES)
    return {
        **told(took, "ms"),
        "looks": len(took),
        "statuses": statuses,
        "queues": queues,
        **shown(last, queues),
        "last": {name: value for name, value in last.items() if name not in {"queues", "consumers"}},
        **meter.facts,
    }


def shown(answer: Mapping[str, Any], queues: int) -> dict[str, int]:
    """How many queues an answer of /health names, how far from all there are that is, and how many it did not count."""
    named = answer.get("queues", {})
    return {
        "queues_named": len(named),
        "misnamed": abs(len(named) - min(HEALTH_QUEUES, queues)),
        "undated": undated(answer),
    }


def undated(answer: Mapping[str, Any]) -> int:
    """How many of the queues that an answer of /health names were never counted."""
    return sum(one["counted_at"] is None for one in answer.get("queues", {}).values())


def _meter(place: Place) -> Meter:
    servers = place.stage.server_pids
    return Meter({"consumer": place.consumers[0].pid, "api": place.api.program.pid, **servers})
