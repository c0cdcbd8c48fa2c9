"""Scene `kinds`: consumers of several kind sets on one queue, as in every deploy of a new kind. All of them are idle.

One serves the old kinds, one the old and the new, one the new alone. Beside it: the same load, and all serve all. After
the load come rows of both kinds of which nobody is told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from benchmarks.cpu import Meter
from benchmarks.handlers import KIND
from benchmarks.lists.look import HINT_LOST_S, HINT_MS, NO_HINT_MS
from benchmarks.lists.newer import NEWER
from benchmarks.lists.place import Place, bodies, never_started, opened, rows_alone, waits
from benchmarks.quantiles import quantiles, told
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import Stage

APART, ALIKE, NO_REDIS = "kinds apart", "kinds alike", "kinds apart, no Redis"
SIDES = (APART, ALIKE, NO_REDIS)
START = {"p50": "lists, kinds, start p50", "p99": "lists, kinds, start p99"}
LOST = "lists, kinds, hint lost"
COMPARISONS = (
    Comparison(f"{APART}: submit to start, p50", START["p50"], APART, ALIKE),
    Comparison(f"{APART}: submit to start, p99", START["p99"], APART, ALIKE, at_most=HINT_MS),
    Comparison(f"{NO_REDIS}: submit to start, p99", START["p99"], NO_REDIS, None, at_most=NO_HINT_MS),
    Comparison(f"{APART}: hint lost to start, max", LOST, APART, ALIKE, at_most=HINT_LOST_S),
    Comparison(f"{NO_REDIS}: hint lost to start, max", LOST, NO_REDIS, None, at_most=HINT_LOST_S),
)
RUNS = 3 * len(SIDES)
_OLD, _NEW = "benchmarks.handlers", "benchmarks.lists.newer"
_SETS = {APART: (_OLD, f"{_OLD},{_NEW}", _NEW), ALIKE: (f"{_OLD},{_NEW}",) * 3}
_SETS[NO_REDIS] = _SETS[APART]
_TASKS, _PER_SECOND, _UNTOLD = 200, 20.0, 50


async def run(stage: Stage, *, rounds: int, repeats: int) -> AsyncIterator[Run]:
    """Every side of each round. The value is that of the kind that waits longest."""
    for turn in turns(SIDES, rounds):
        async for made in repeated(partial(_round, stage, turn), repeats):
            yield made


async def _round(stage: Stage, turn: Turn, attempt: int) -> AsyncIterator[Run]:
    for side in turn.order:
        await stage.fresh()
        sets = [{"HANDLERS": handlers} for handlers in _SETS[side]]
        async with opened(stage, *sets, redis=side != NO_REDIS) as place:
            waited, facts = await _starts(place)
            lost = await _untold(place)
        for name, workload in START.items():
            value = max(quantiles(one)[name] for one in waited.values())
            yield Run(workload, side, turn.number, attempt, value, "ms", facts)
        noise = {name: facts[name] for name in ("others", "steal")}
        yield Run(LOST, side, turn.number, attempt, max(lost) / 1000, "s", {**told(lost, "ms"), **noise})


async def _starts(place: Place) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Milliseconds to the start, by kind; the kinds come in turn."""
    pairs = zip(bodies(_TASKS // 2, kind=KIND), bodies(_TASKS // 2, kind=NEWER), strict=True)
    mixed = [body for pair in pairs for body in pair]
    with Meter({**place.stage.server_pids, "consumer": place.consumers[0].pid}) as meter:
        ids = await place.submit(*mixed, per_second=_PER_SECOND)
        found = await waits(place.stage, ids)
    waited: dict[str, list[float]] = {KIND: [], NEWER: []}
    for body, one in zip(mixed, ids, strict=True):
        waited[body["kind"]].append(found[one])
    return waited, {"by_kind": {kind: told(of, "ms") for kind, of in waited.items()}, **meter.facts}


async def _untold(place: Place) -> list[float]:
    """Milliseconds to the start of rows of both kinds; what never starts is taken away."""
    ids = [one for kind in (KIND, NEWER) for one in await rows_alone(place.stage, _UNTOLD, kind=kind)]
    found = await waits(place.stage, ids)
    await never_started(place.stage, ids)
    return list(found.values())
