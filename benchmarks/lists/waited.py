"""Scene `waited`: tasks of several queues and priorities came in while no consumer was alive; then the first starts.

Sides: as they were submitted, with everything in Redis lost meanwhile, and without Redis.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from benchmarks.cpu import Meter
from benchmarks.lists.place import bodies, consuming, never_started, opened, registered_to_start
from benchmarks.quantiles import told
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import Stage

WAITED = "lists, waited for a consumer"
AS_SUBMITTED, LOST, NO_REDIS = "waited as submitted", "waited, Redis flushed", "waited, no Redis"
SIDES = (AS_SUBMITTED, LOST, NO_REDIS)
COMPARISONS = tuple(
    Comparison(f"{side}: registration to the last start", WAITED, side, None, at_most=1) for side in SIDES
)
RUNS = len(SIDES)
_QUEUES = ("default", "mail", "reports")
_PRIORITIES = (2, 5, 9)
_TASKS = 900


async def run(stage: Stage, *, rounds: int, repeats: int) -> AsyncIterator[Run]:
    """Every side of each round."""
    for turn in turns(SIDES, rounds):
        async for made in repeated(partial(_round, stage, turn), repeats):
            yield made


async def _round(stage: Stage, turn: Turn, attempt: int) -> AsyncIterator[Run]:
    each = _TASKS // len(_QUEUES) // len(_PRIORITIES)
    for side in turn.order:
        redis = side != NO_REDIS
        settings = {"QUEUES": ",".join(_QUEUES)} | ({} if redis else {"REDIS_URL": ""})
        await stage.fresh()
        async with opened(stage, redis=redis) as place:
            ids = await place.submit_together(
                [
                    body
                    for queue in _QUEUES
                    for priority in _PRIORITIES
                    for body in bodies(each, queue=queue, priority=priority)
                ]
            )
            if side == LOST:
                await stage.redis.flushall()
            with Meter(stage.server_pids) as meter:
                async with consuming(stage, settings) as consumer:
                    waited = list((await registered_to_start(stage, ids)).values())
                    never = await never_started(stage, ids)
                    await consumer.stop()
        facts = {
            "tasks": len(ids),
            "never_started": never,
            "first_ms": round(min(waited), 3),
            **told(waited, "ms"),
            **meter.facts,
        }
        yield Run(WAITED, side, turn.number, attempt, max(waited) / 1000, "s", facts)
