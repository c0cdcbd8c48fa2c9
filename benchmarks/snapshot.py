"""How fast one consumer empties a full queue while somebody holds an old snapshot, beside the same without one.

A REPEATABLE READ transaction has looked at the table before the consumer starts and stays open until it is done: no
row version that dies meanwhile may go, neither from the table nor from an index.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import BrokenRun, Stage
from benchmarks.stretch import submit, work_off
from sluice.core.task import DEFAULT_PRIORITY

WORKLOAD = "snapshot"
HELD, CLEAN = "old snapshot held", "no snapshot held"
COMPARISONS = (Comparison("drain, an old snapshot held", WORKLOAD, HELD, CLEAN, target=0.9),)
TASKS = 300_000


async def run(stage: Stage, *, rounds: int, repeats: int, tasks: int = TASKS) -> AsyncIterator[Run]:
    """Every run of both sides, as it is done."""
    for turn in turns((HELD, CLEAN), rounds):
        async for made in repeated(partial(_round, stage, turn, tasks), repeats):
            yield made


async def _round(stage: Stage, turn: Turn, tasks: int, attempt: int) -> AsyncIterator[Run]:
    for side in turn.order:
        await stage.fresh()
        stretch = await submit(stage, tasks, DEFAULT_PRIORITY)
        if side == HELD:
            async with _snapshot(stage, tasks):
                value, facts = await work_off(stage, stretch)
        else:
            value, facts = await work_off(stage, stretch)
        yield Run(WORKLOAD, side, turn.number, attempt, value, "tasks/s", facts)


@asynccontextmanager
async def _snapshot(stage: Stage, tasks: int) -> AsyncIterator[None]:
    """Held, and seen to have been held: at its end it still shows every task as pending."""
    pending = "SELECT count(*) FROM tasks WHERE status = 'pending'"
    async with stage.connection() as reader, reader.transaction(isolation="repeatable_read", readonly=True):
        await reader.fetchval(pending)
        yield
        seen = await reader.fetchval(pending)
    if seen != tasks:
        raise BrokenRun(f"the snapshot was not held: it shows {seen} of {tasks} tasks as pending")
