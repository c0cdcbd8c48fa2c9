"""How fast one consumer works with very many tasks queued, beside an otherwise empty table; what each statement costs.

The backlog waits in rows and, all of it, in Redis. `backlog of another priority`: what is measured was submitted last
and goes first. `backlog in the same list`: what is measured are the oldest of the backlog itself. Beside the queued
rows a tenth as many are due tomorrow.

Every run works on a file copy of one vacuumed database, so that each finds the same. It ends long before autovacuum
would come to a table of that size; the rows that die meanwhile are in the result file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from benchmarks import depth_costs
from benchmarks.deep import LATER, QUEUED, Deep, Fill, Say, tell
from benchmarks.recorded import AT_DEPTH, AT_SHALLOW
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import Stage
from benchmarks.stretch import Stretch, submit, work_off
from sluice.core.task import DEFAULT_PRIORITY

WORKLOAD = "backlog"
OTHER, SAME, EMPTY = "backlog of another priority", "backlog in the same list", "empty table"
COMPARISONS = (
    Comparison("drain, very many queued at another priority", WORKLOAD, OTHER, EMPTY, target=0.9),
    Comparison("drain, very many queued in the same list", WORKLOAD, SAME, EMPTY, target=0.9),
    *depth_costs.comparisons(WORKLOAD),
)
ROWS = 10_000_000
TASKS = 100_000
_FIRST = 9
_DEEP, _SHALLOW = "bench_backlog", "bench_backlog_shallow"


async def run(
    stage: Stage,
    *,
    rounds: int,
    repeats: int,
    rows: int = ROWS,
    tasks: int = TASKS,
    say: Say = tell,
) -> AsyncIterator[Run]:
    """Every run of every side, as it is done; first, once, what each statement costs."""
    deep = Deep(stage, say)
    few = min(depth_costs.SHALLOW, rows)
    for name, side, depth in ((_SHALLOW, AT_SHALLOW, few), (_DEEP, AT_DEPTH, rows)):
        await deep.make(name, Fill(QUEUED, depth), Fill(LATER, depth // 10))
        await deep.fresh(name)
        async for made in depth_costs.run(stage, workload=WORKLOAD, side=side, rows=depth):
            yield made
    await deep.stash(_DEEP)
    for turn in turns((OTHER, EMPTY, SAME), rounds):
        async for made in repeated(partial(_round, stage, deep, turn, (rows, tasks)), repeats):
            yield made
    await deep.drop(_SHALLOW, _DEEP)


async def _round(
    stage: Stage, deep: Deep, turn: Turn, sizes: tuple[int, int], attempt: int
) -> AsyncIterator[Run]:
    rows, tasks = sizes
    for side in turn.order:
        if side == EMPTY:
            await deep.fresh()
        else:
            await deep.fresh(_DEEP, listed=True)
        if side == SAME:
            stretch = Stretch(min(tasks, rows // 2), DEFAULT_PRIORITY)
        else:
            stretch = await submit(stage, tasks, _FIRST)
        value, facts = await work_off(stage, stretch)
        known = {"rows": 0 if side == EMPTY else rows, **facts}
        yield Run(WORKLOAD, side, turn.number, attempt, value, "tasks/s", known)
