"""How fast one consumer works beside very many finished rows, beside an otherwise empty table; what statements cost.

Every run works on a file copy of one vacuumed database, so that each finds the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from benchmarks import depth_costs
from benchmarks.deep import ENDED, Deep, Fill, Say, tell
from benchmarks.recorded import AT_DEPTH, AT_SHALLOW
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import Stage
from benchmarks.stretch import submit, work_off
from sluice.core.task import DEFAULT_PRIORITY

WORKLOAD = "history"
FULL, EMPTY = "finished rows", "empty table"
COMPARISONS = (
    Comparison("drain, very many finished", WORKLOAD, FULL, EMPTY, target=0.9),
    *depth_costs.comparisons(WORKLOAD),
)
ROWS = 10_000_000
TASKS = 100_000
_DEEP, _SHALLOW = "bench_history", "bench_history_shallow"


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
        await deep.make(name, Fill(ENDED, depth))
        await deep.fresh(name)
        async for made in depth_costs.run(stage, workload=WORKLOAD, side=side, rows=depth):
            yield made
    for turn in turns((FULL, EMPTY), rounds):
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
            await deep.fresh(_DEEP)
        stretch = await submit(stage, tasks, DEFAULT_PRIORITY)
        value, facts = await work_off(stage, stretch)
        known = {"rows": 0 if side == EMPTY else rows, **facts}
        yield Run(WORKLOAD, side, turn.number, attempt, value, "tasks/s", known)
