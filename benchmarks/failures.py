"""What failing costs: every tenth task fails for good, or fails once and is tried again at once, beside a clean drain.

The rate counts tries that ended, by completion or failure. SQL tells afterwards whether each task ended as it should.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from benchmarks.consuming import emptied
from benchmarks.costs import Costs, per_thousand
from benchmarks.handlers import DISCARDED, KIND, RETRIED
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import BrokenRun, Stage
from benchmarks.waiting import wait_in_line
from sluice.core.task import Kind

WORKLOAD = "failures"
CLEAN, FINAL, AGAIN = "none fails", "a tenth fails for good", "a tenth is tried again"
COMPARISONS = (
    Comparison("tries a second, a tenth fails for good", WORKLOAD, FINAL, CLEAN),
    Comparison("tries a second, a tenth is tried again", WORKLOAD, AGAIN, CLEAN),
)
_TENTH = 10
_COUNT = """
SELECT count(*) AS tasks,
       count(*) FILTER (WHERE status = 'completed' AND kind = $1 AND fencing_token = 2) AS clean,
       count(*) FILTER (WHERE status = 'failed' AND kind = $2 AND fencing_token = 2 AND attempt = 1) AS final,
       count(*) FILTER (WHERE status = 'completed' AND kind = $3 AND fencing_token = 4 AND attempt = 2) AS again,
       CAST(extract(epoch FROM max(finished_at) - min(started_at)) AS double precision) AS seconds
  FROM tasks
"""


@dataclass(frozen=True, slots=True)
class Mix:
    """What every tenth task is, and how often it is tried."""

    kind: Kind
    tries: int


_SIDES = {CLEAN: Mix(KIND, 1), FINAL: Mix(DISCARDED, 1), AGAIN: Mix(RETRIED, 2)}


async def run(stage: Stage, *, tasks: int, rounds: int, repeats: int) -> AsyncIterator[Run]:
    """Every run of every side, as it is done."""
    for turn in turns((CLEAN, FINAL, AGAIN), rounds):
        async for made in repeated(partial(_round, stage, turn, tasks), repeats):
            yield made


async def _round(stage: Stage, turn: Turn, tasks: int, attempt: int) -> AsyncIterator[Run]:
    for side in turn.order:
        mix = _SIDES[side]
        await stage.fresh()
        await wait_in_line(stage, [mix.kind if number % _TENTH == 0 else KIND for number in range(tasks)])
        async with Costs(stage) as costs:
            facts = await emptied(stage)
        seconds, failing = await _count(stage, side, mix, tasks)
        tries = tasks + failing * (mix.tries - 1)
        told = {
            "tasks": tasks,
            "tries": tries,
            "failing": failing,
            "seconds": round(seconds, 4),
            "lost": 0,
            "repeated": 0,
            **per_thousand(facts["cpu_seconds"], tries),
            **costs.per_task(tasks),
            **facts,
        }
        yield Run(WORKLOAD, side, turn.number, attempt, tries / seconds, "tries/s", told)


async def _count(stage: Stage, side: str, mix: Mix, tasks: int) -> tuple[float, int]:
    """How long it took, and how many tasks failed. Raises BrokenRun when one did not end as its kind should."""
    failing = 0 if mix.kind == KIND else len(range(0, tasks, _TENTH))
    async with stage.connection() as connection:
        row = await connection.fetchrow(_COUNT, KIND, DISCARDED, RETRIED)
    expected = {
        "tasks": tasks,
        "clean": tasks - failing,
        "final": failing if side == FINAL else 0,
        "again": failing if side == AGAIN else 0,
    }
    if row is None or {name: row[name] for name in expected} != expected:
        raise BrokenRun(f"{side}: {row}, expected {expected}")
    return row["seconds"], failing
