"""Scene `names`: one consumer that serves very many queues, with a task in each. Beside it: one queue with them all.

The tasks come in before the consumer starts.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from functools import partial

from benchmarks.costs import resident
from benchmarks.cpu import Meter
from benchmarks.lists.place import bodies, consuming, never_started, opened, registered_to_start
from benchmarks.quantiles import told
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import Stage

MANY, ONE = "many queues served", "one queue served"
READY, STARTED = "lists, names, consumer ready", "lists, names, all started"
COMPARISONS = (
    Comparison(f"{MANY}: process to registration", READY, MANY, ONE, most=2),
    Comparison(f"{MANY}: registration to the last start", STARTED, MANY, ONE, at_most=5),
)
RUNS = 4
NAMES = 2000
_PATIENCE = 60.0


async def run(stage: Stage, *, rounds: int, repeats: int, names: int = NAMES) -> AsyncIterator[Run]:
    """Both sides of each round."""
    for turn in turns((MANY, ONE), rounds):
        async for made in repeated(partial(_round, stage, turn, names), repeats):
            yield made


async def _round(stage: Stage, turn: Turn, names: int, attempt: int) -> AsyncIterator[Run]:
    for side in turn.order:
        await stage.fresh()
        queues = [f"tenant-{number}" for number in range(names)] if side == MANY else ["default"]
        async with opened(stage) as place:
            tasks = [body for queue in queues for body in bodies(names // len(queues), queue=queue)]
            ids = await place.submit_together(tasks)
            began = time.monotonic()
            with Meter(stage.server_pids) as meter:
                async with consuming(stage, {"QUEUES": ",".join(queues)}) as consumer:
                    ready = time.monotonic() - began
                    waited = await registered_to_start(stage, ids, within=_PATIENCE)
                    memory = resident(consumer.pid)
                    never = await never_started(stage, ids)
                    await consumer.stop()
        facts = {
            "queues": len(queues),
            "tasks": len(ids),
            "never_started": never,
            "consumer_rss_bytes": memory,
            **told(list(waited.values()), "ms"),
            **meter.facts,
        }
        yield Run(READY, side, turn.number, attempt, ready, "s", facts)
        yield Run(STARTED, side, turn.number, attempt, max(waited.values()) / 1000, "s", facts)
