"""How much of what sleeping handlers could do is done: 1, 25 and 100 ms, a hundred of them at once.

Beside it: the arithmetic, handlers by the length of a sleep, and coroutines that sleep on the same event loop and do
nothing else, whose timers have limits of their own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from benchmarks.audit import audit
from benchmarks.consuming import CAPACITY, emptied
from benchmarks.costs import Costs, per_thousand
from benchmarks.cpu import Meter
from benchmarks.handlers import SLEEPS
from benchmarks.preload import preload
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import Stage

OURS, ARITHMETIC, COROUTINES = "sluice", "arithmetic", "sleeping coroutines"
SECONDS = 5.0
_MOST = 20_000
"""Tasks a second that are prepared where the arithmetic allows for more than a drain ever reached."""


def workload(milliseconds: int) -> str:
    """The name of the workload with sleeps of this length."""
    return f"sleeps, {milliseconds} ms"


COMPARISONS = tuple(
    Comparison(f"{CAPACITY} sleeps of {length} ms at once", workload(length), OURS, beside)
    for length in SLEEPS
    for beside in (ARITHMETIC, COROUTINES)
)


async def run(stage: Stage, *, rounds: int, repeats: int, seconds: float = SECONDS) -> AsyncIterator[Run]:
    """Every run of every side, as it is done."""
    for milliseconds in SLEEPS:
        for turn in turns((OURS, COROUTINES), rounds):
            one = partial(_round, stage, turn, milliseconds, seconds)
            async for made in repeated(one, repeats):
                yield made


async def _round(
    stage: Stage, turn: Turn, milliseconds: int, seconds: float, attempt: int
) -> AsyncIterator[Run]:
    ceiling = 1000 * CAPACITY / milliseconds
    for side in turn.order:
        rate, facts = await (
            _ours(stage, milliseconds, min(ceiling, _MOST) * seconds)
            if side == OURS
            else _coroutines(stage, milliseconds, seconds)
        )
        facts["of_arithmetic"] = round(rate / ceiling, 4)
        yield Run(workload(milliseconds), side, turn.number, attempt, rate, "tasks/s", facts)
    yield Run(workload(milliseconds), ARITHMETIC, turn.number, attempt, ceiling, "tasks/s")


async def _ours(stage: Stage, milliseconds: int, tasks: float) -> tuple[float, dict[str, Any]]:
    n = max(CAPACITY, round(tasks))
    await stage.fresh()
    await preload(stage, n, SLEEPS[milliseconds])
    async with Costs(stage) as costs:
        facts = await emptied(stage)
    found = await audit(stage, OURS, n)
    return found.rate, {
        **found.facts(),
        **per_thousand(facts["cpu_seconds"], n),
        **costs.per_task(n),
        **facts,
    }


async def _coroutines(stage: Stage, milliseconds: int, seconds: float) -> tuple[float, dict[str, Any]]:
    arguments = (str(CAPACITY), str(milliseconds), str(min(seconds, 2.0)))
    async with stage.program("benchmarks.sleepers", *arguments) as program:
        with Meter(stage.server_pids) as meter:
            facts = await program.answer()
    meter.facts["cpu_seconds"]["coroutines"] = facts.pop("cpu_seconds")
    return facts.pop("rate"), {**facts, **meter.facts}
