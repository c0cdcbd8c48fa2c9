"""The workload `lists`: every scene by its name. A hint that is lost or that nobody may take costs seconds, no task.

Each scene knows its own figures; here is only which are measured, and at what size.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import AsyncIterator, Sequence
from typing import Any

from benchmarks.deep import tell
from benchmarks.lists import crowd, ends, full, hints, kinds, look, names, unlisted, waited
from benchmarks.results import Comparison, Run
from benchmarks.stage import Stage

SCENES = (*crowd.STATES, "kinds", "names", "waited", "unlisted", "hints", "ends", "full")
ROWS, QUEUES = 1_000_000, 10_000
DEEP_QUEUES, MANY_DEEP_QUEUES = 100, 400
_ALONE = {
    "kinds": kinds,
    "names": names,
    "waited": waited,
    "unlisted": unlisted,
    "hints": hints,
    "ends": ends,
    "full": full,
}


def runs(options: Namespace) -> int:
    """How many a round makes."""
    return crowd.runs(_states(options)) + sum(int(_ALONE[scene].RUNS) for scene in _others(options))


def comparisons(options: Namespace) -> Sequence[Comparison]:
    """Those of the scenes that are measured."""
    others = [one for scene in _others(options) for one in _ALONE[scene].COMPARISONS]
    return (*crowd.comparisons(_states(options)), *others)


async def run(stage: Stage, options: Namespace) -> AsyncIterator[Run]:
    """Every run of the scenes that were asked for, all of them unless some were."""
    rounds: dict[str, Any] = {"rounds": options.runs, "repeats": options.repeats}
    sizes = crowd.fills(
        rows=options.rows or ROWS,
        queues=options.queues or QUEUES,
        deep_queues=MANY_DEEP_QUEUES if options.wide else DEEP_QUEUES,
    )
    seconds = float(options.seconds or look.SECONDS)
    crowded = crowd.run(stage, _states(options), sizes=sizes, seconds=seconds, say=tell, **rounds)
    async for made in crowded:
        yield made
    own: dict[str, dict[str, Any]] = {
        "unlisted": {"rows": options.rows or (unlisted.MANY_ROWS if options.wide else unlisted.ROWS)},
        "hints": {} if options.seconds is None else {"seconds": float(options.seconds)},
    }
    for scene in _others(options):
        async for made in _ALONE[scene].run(stage, **rounds, **own.get(scene, {})):
            yield made


def _chosen(options: Namespace) -> Sequence[str]:
    return options.scene or SCENES


def _states(options: Namespace) -> list[str]:
    return [scene for scene in crowd.STATES if scene in _chosen(options)]


def _others(options: Namespace) -> list[str]:
    return [scene for scene in _ALONE if scene in _chosen(options)]
