"""How fast one consumer process empties a full queue, beside its statements alone and beside one task per transaction.

Every side works on a fresh database with the same rows. What counts are rows that say `completed`, read afterwards.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from benchmarks import consuming
from benchmarks.audit import audit
from benchmarks.costs import Costs, per_thousand
from benchmarks.cpu import Meter
from benchmarks.handlers import KIND
from benchmarks.preload import preload
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import Program, Stage

CAPACITY = consuming.CAPACITY
SETTINGS = consuming.SETTINGS
WORKLOAD, BEYOND = "drain", "drain, CPU beyond bare"
OURS, BARE, SESSIONS = "sluice", "bare statements", "one task per transaction"
COMPARISONS = (
    Comparison("drain, one consumer process", WORKLOAD, OURS, BARE, target=0.6),
    Comparison("drain, one consumer process", WORKLOAD, OURS, SESSIONS, target=15),
    Comparison("drain, CPU per task beyond the bare driver's", BEYOND, OURS, BARE, most=4, suffices=25),
)
"""25 µs were five times the bare driver's own on the machine for which they were set."""
SESSIONS_POOL = 5
_FEWER = 20


def comparisons(capacities: Sequence[int]) -> tuple[Comparison, ...]:
    """Those of a drain with each number of handlers at once; the usual one is compared as always."""
    others = [capacity for capacity in capacities if capacity != CAPACITY]
    return (
        *COMPARISONS,
        *(Comparison(f"drain, {n} at once", workload(n), OURS, BARE) for n in others),
    )


def workload(capacity: int) -> str:
    """The name of the drain with so many handlers at once."""
    return WORKLOAD if capacity == CAPACITY else f"{WORKLOAD}, {capacity} at once"


def runs(capacities: Sequence[int]) -> int:
    """How many a round makes; the usual drain also has the difference of two of them, and the lesser."""
    return sum(len(sides(capacity)) + 2 * (capacity == CAPACITY) for capacity in capacities)


def sides(capacity: int) -> tuple[str, ...]:
    """Who takes part. One task per transaction is the baseline of the usual drain alone: it takes the longest."""
    return (OURS, BARE, SESSIONS) if capacity == CAPACITY else (OURS, BARE)


async def run(
    stage: Stage, *, tasks: int, rounds: int, repeats: int, capacities: Sequence[int] = (CAPACITY,)
) -> AsyncIterator[Run]:
    """Every run of every side, as it is done."""
    for capacity in capacities:
        for turn in turns(sides(capacity), rounds):
            async for made in repeated(partial(_round, stage, turn, tasks, capacity), repeats):
                yield made


async def _round(stage: Stage, turn: Turn, tasks: int, capacity: int, attempt: int) -> AsyncIterator[Run]:
    made: dict[str, Run] = {}
    for side in turn.order:
        n = max(1, tasks // _FEWER) if side == SESSIONS else tasks
        await stage.fresh()
        await preload(stage, n, KIND)
        async with Costs(stage) as costs:
            facts = await _SIDES[side](stage, capacity)
        found = await audit(stage, side, n)
        told = {
            **found.facts(),
            "wall_rate": round(n / facts["wall_seconds"], 1),
            **per_thousand(facts["cpu_seconds"], n),
            **costs.per_task(n),
            **facts,
        }
        made[side] = Run(workload(capacity), side, turn.number, attempt, found.rate, "tasks/s", told)
        yield made[side]
    if capacity == CAPACITY:
        ours, bare = (_driver_cpu(made[side]) for side in (OURS, BARE))
        facts = {"others": max(made[OURS].noise, made[BARE].noise), "ours": ours, "bare": bare}
        yield Run(BEYOND, OURS, turn.number, attempt, ours - bare, "µs", facts)
        yield Run(BEYOND, BARE, turn.number, attempt, bare, "µs", facts)


def _driver_cpu(run: Run) -> float:
    """Microseconds for each task, without the servers'."""
    return 1e3 * float(run.facts["cpu_seconds_per_1000_by_process"]["consumer"])


async def _ours(stage: Stage, capacity: int) -> dict[str, Any]:
    return await consuming.emptied(stage, capacity=capacity)


async def _answered(stage: Stage, program: Program) -> dict[str, Any]:
    """Facts about a driver that ends by itself."""
    with Meter(stage.server_pids) as meter:
        answer = await program.answer()
    meter.facts["cpu_seconds"]["consumer"] = answer["cpu_seconds"]
    return {"wall_seconds": answer["wall_seconds"], **meter.facts}


async def _bare(stage: Stage, capacity: int) -> dict[str, Any]:
    async with stage.program("benchmarks.bare", "drain", str(capacity)) as program:
        return await _answered(stage, program)


async def _sessions(stage: Stage, capacity: int) -> dict[str, Any]:
    async with stage.program("benchmarks.sessions", str(capacity), str(SESSIONS_POOL)) as program:
        return await _answered(stage, program)


_SIDES = {OURS: _ours, BARE: _bare, SESSIONS: _sessions}
