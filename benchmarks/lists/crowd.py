"""Scenes `rows`, `queues` and `deep`: the same look at an empty database and at crowded ones, with Redis and without.

`rows`: rows of kinds and queues that nobody serves, in front of what is served, by age and by priority. `queues`: as
many queues that hold a task each, which nobody serves. `deep`: queues that nobody serves with 10,000 tasks in each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial

from benchmarks.deep import Deep, Fill, Say
from benchmarks.lists import look
from benchmarks.lists.place import opened
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import Stage
from sluice.core.task import Kind

EMPTY = "empty"
ROWS, QUEUES, DEEP = "rows", "queues", "deep"
STATES = (ROWS, QUEUES, DEEP)
_SIDES = {EMPTY: "empty database", ROWS: "unserved rows", QUEUES: "unserved queues", DEEP: "deep queues"}
_GONE = Kind("bench.gone")
_EACH = 10_000
_IN_FRONT = """
INSERT INTO tasks (id, created_at, updated_at, run_at, kind, queue, priority, max_attempts, timeout, message, payload)
SELECT uuidv7(age), now() + age, now() + age, now() + age, $3 || '-' || n % 3,
       CASE WHEN n % 4 = 0 THEN 'unserved-' || n % 10 ELSE 'default' END,
       CASE WHEN n % 2 = 0 THEN 9 ELSE 5 END, 5, 3600, $4, CAST($5 AS json)
  FROM generate_series(CAST($1 AS bigint), CAST($2 AS bigint)) AS n
 CROSS JOIN LATERAL (SELECT (n - $6) * interval '1 ms' - interval '1 hour') AS submitted (age)
"""
_SPREAD = """
INSERT INTO tasks (id, created_at, updated_at, run_at, kind, queue, priority, max_attempts, timeout, message, payload)
SELECT uuidv7(age), now() + age, now() + age, now() + age, $3, 'unserved-' || n % CAST($7 AS bigint), 5, 5, 3600, $4,
       CAST($5 AS json)
  FROM generate_series(CAST($1 AS bigint), CAST($2 AS bigint)) AS n
 CROSS JOIN LATERAL (SELECT (n - $6) * interval '1 ms' - interval '1 hour') AS submitted (age)
"""


def side(state: str, *, redis: bool) -> str:
    """The name of a state in figures."""
    return _SIDES[state] if redis else f"{_SIDES[state]}, no Redis"


def runs(states: Sequence[str]) -> int:
    """How many a round makes: the empty database is looked at as well, and each with Redis and without."""
    return 2 * look.RUNS * (1 + len(states)) if states else 0


def comparisons(states: Sequence[str]) -> tuple[Comparison, ...]:
    """Each crowded state beside the empty one."""
    return tuple(
        comparison
        for state in states
        for redis in (True, False)
        for comparison in look.comparisons(side(state, redis=redis), side(EMPTY, redis=redis), redis=redis)
    )


def fills(*, rows: int, queues: int, deep_queues: int) -> dict[str, Fill]:
    """What each state's database is filled with."""

    def narrow(insert: str, n: int, *more: object) -> Fill:
        return Fill(insert, n, kind=_GONE, payload="{}", more=more)

    return {
        ROWS: narrow(_IN_FRONT, rows),
        QUEUES: narrow(_SPREAD, queues, queues),
        DEEP: narrow(_SPREAD, deep_queues * _EACH, deep_queues),
    }


async def run(
    stage: Stage,
    states: Sequence[str],
    *,
    sizes: dict[str, Fill],
    seconds: float,
    rounds: int,
    repeats: int,
    say: Say,
) -> AsyncIterator[Run]:
    """Every look at every state, as it is done. Each finds a file copy of one vacuumed database."""
    if not states:
        return
    deep = Deep(stage, say)
    for state in states:
        await deep.make(_template(state), sizes[state])
    for turn in turns((EMPTY, *states), rounds):
        async for made in repeated(partial(_round, stage, deep, turn, seconds), repeats):
            yield made
    await deep.drop(*map(_template, states))


async def _round(stage: Stage, deep: Deep, turn: Turn, seconds: float, attempt: int) -> AsyncIterator[Run]:
    for state in turn.order:
        for redis in (True, False):
            await stage.redis.flushall()
            await (deep.fresh() if state == EMPTY else deep.fresh(_template(state)))
            name = side(state, redis=redis)
            async with opened(stage, {}, redis=redis) as place:
                async for made in look.look(place, name, turn.number, attempt, seconds=seconds):
                    yield made


def _template(state: str) -> str:
    return f"bench_lists_{state}"
