"""Every workload by its name: how it is run with the options of the command line, and what it is compared with."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import (
    backlog,
    cancels,
    delayed,
    drain,
    failures,
    history,
    idle,
    latency,
    limits,
    openloop,
    sleeps,
    snapshot,
    submit,
    sustained,
)
from benchmarks.lists import scenes as lists
from benchmarks.results import Comparison, Run
from benchmarks.stage import Stage

Options = Namespace


@dataclass(frozen=True, slots=True)
class Workload:
    """`runs`: how many a round makes. `usual`: measured unless others are asked for."""

    runs: Callable[[Options], int]
    comparisons: Callable[[Options], Sequence[Comparison]]
    run: Callable[[Stage, Options], AsyncIterator[Run]]
    usual: bool = False


def _rounds(options: Options) -> dict[str, Any]:
    return {"rounds": options.runs, "repeats": options.repeats}


def _chosen(options: Options, *names: str) -> dict[str, Any]:
    """Those of the options that were given; the others are the workload's to choose."""
    given = {name: getattr(options, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}


WORKLOADS: Mapping[str, Workload] = {
    "drain": Workload(
        runs=lambda options: drain.runs(options.concurrency),
        comparisons=lambda options: drain.comparisons(options.concurrency),
        run=lambda stage, options: drain.run(
            stage, tasks=options.tasks, capacities=options.concurrency, **_rounds(options)
        ),
        usual=True,
    ),
    "submit": Workload(
        runs=lambda options: 20 if options.wide else 10,
        comparisons=lambda options: (
            *submit.COMPARISONS,
            *(submit.WIDE_COMPARISONS if options.wide else ()),
        ),
        run=lambda stage, options: submit.run(stage, wide=options.wide, **_rounds(options)),
        usual=True,
    ),
    "latency": Workload(
        runs=lambda _: 6,
        comparisons=lambda _: latency.COMPARISONS,
        run=lambda stage, options: latency.run(stage, **_rounds(options)),
        usual=True,
    ),
    "sustained": Workload(
        runs=lambda _: 6,
        comparisons=lambda _: sustained.COMPARISONS,
        run=lambda stage, options: sustained.run(stage, **_chosen(options, "seconds"), **_rounds(options)),
    ),
    "sleeps": Workload(
        runs=lambda _: 9,
        comparisons=lambda _: sleeps.COMPARISONS,
        run=lambda stage, options: sleeps.run(stage, **_chosen(options, "seconds"), **_rounds(options)),
    ),
    "openloop": Workload(
        runs=lambda _: 1 + 6 * len(openloop.LOADS),
        comparisons=lambda _: openloop.COMPARISONS,
        run=lambda stage, options: openloop.run(stage, **_chosen(options, "seconds"), **_rounds(options)),
    ),
    "cancels": Workload(
        runs=lambda _: 4,
        comparisons=lambda _: cancels.COMPARISONS,
        run=lambda stage, options: cancels.run(stage, **_rounds(options)),
    ),
    "delayed": Workload(
        runs=lambda _: 6,
        comparisons=lambda _: delayed.COMPARISONS,
        run=lambda stage, options: delayed.run(stage, **_chosen(options, "future"), **_rounds(options)),
    ),
    "failures": Workload(
        runs=lambda _: 3,
        comparisons=lambda _: failures.COMPARISONS,
        run=lambda stage, options: failures.run(stage, tasks=options.tasks, **_rounds(options)),
    ),
    "idle": Workload(
        runs=lambda _: 3,
        comparisons=lambda _: idle.COMPARISONS,
        run=lambda stage, options: idle.run(stage, **_chosen(options, "seconds"), **_rounds(options)),
    ),
    "backlog": Workload(
        runs=lambda _: 3,
        comparisons=lambda _: backlog.COMPARISONS,
        run=lambda stage, options: backlog.run(
            stage, tasks=options.tasks, **_chosen(options, "rows"), **_rounds(options)
        ),
    ),
    "history": Workload(
        runs=lambda _: 2,
        comparisons=lambda _: history.COMPARISONS,
        run=lambda stage, options: history.run(
            stage, tasks=options.tasks, **_chosen(options, "rows"), **_rounds(options)
        ),
    ),
    "snapshot": Workload(
        runs=lambda _: 2,
        comparisons=lambda _: snapshot.COMPARISONS,
        run=lambda stage, options: snapshot.run(stage, **_rounds(options)),
    ),
    "lists": Workload(runs=lists.runs, comparisons=lists.comparisons, run=lists.run),
    "limits": Workload(
        runs=lambda _: 21,
        comparisons=lambda _: limits.COMPARISONS,
        run=lambda stage, options: limits.run(stage, **_chosen(options, "seconds"), **_rounds(options)),
    ),
}
USUAL = tuple(name for name, workload in WORKLOADS.items() if workload.usual)
