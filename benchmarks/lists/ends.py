"""Scene `ends`: what is left in Redis when nobody is alive any more. A key without an expiry has no end then.

Before that: tasks that are done, tasks of queues that nobody serves, some of them canceled, delayed ones, ones that run
and ones that wait when their consumer is killed. Whoever owned a key is gone, by a clean stop or by kill -9.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import asdict
from functools import partial
from typing import Any

from benchmarks.consuming import CAPACITY
from benchmarks.cpu import Meter
from benchmarks.lists.place import Place, bodies, opened, waits
from benchmarks.lists.rediskeys import FOR_EVER, Key, keys
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import BrokenRun, Stage

KEYS, ENTRIES = "lists, keys without an end", "lists, entries without an end"
OURS = "nobody alive"
COMPARISONS = (
    Comparison("keys in Redis without expiry or owner", KEYS, OURS, None, at_most=0),
    Comparison("entries of those keys", ENTRIES, OURS, None, at_most=0),
)
RUNS = 2
_SEEN_SECONDS = 7.0
"""Long enough for several turns of every step."""
_SHOWN = 100
_OK = 200


async def run(stage: Stage, *, rounds: int, repeats: int) -> AsyncIterator[Run]:
    """Two figures of each round."""
    for turn in turns((OURS,), rounds):
        async for made in repeated(partial(_round, stage, turn), repeats):
            yield made


async def _round(stage: Stage, turn: Turn, attempt: int) -> AsyncIterator[Run]:
    await stage.fresh()
    with Meter(stage.server_pids) as meter:
        async with opened(stage, {}, {"QUEUES": "mail,reports"}, stop=False) as place:
            await _life(place)
            alive = await keys(stage)
            killed, stopped = place.consumers
            os.kill(killed.pid, signal.SIGKILL)
            await stopped.stop()
            await place.api.program.stop()
    left = await keys(stage)
    endless = [key for key in left if key.seconds == FOR_EVER]
    facts = {"while_alive": _shown(alive), "left": _shown(left), **meter.facts}
    yield Run(KEYS, OURS, turn.number, attempt, len(endless), "keys", facts)
    yield Run(ENTRIES, OURS, turn.number, attempt, sum(key.length for key in endless), "entries", facts)


async def _life(place: Place) -> None:
    """Whatever makes keys."""
    done = await place.submit_together(bodies(200) + bodies(50, queue="mail"))
    await waits(place.stage, done)
    unserved = [body for n in range(20) for body in bodies(3, queue=f"nobody-{n}")]
    for task_id in (await place.submit_together(unserved))[:30]:
        answer = await place.http.patch(f"/tasks/{task_id}", json={"status": "canceled"})
        if answer.status_code != _OK:
            raise BrokenRun(f"a cancel was answered {answer.status_code}: {answer.text[:500]}")
    await place.submit_together(bodies(50, delay=1.5) + bodies(50, delay=600))
    await place.submit_together(bodies(2 * CAPACITY, kind="sleep", payload={"seconds": 60}))
    await asyncio.sleep(_SEEN_SECONDS)


def _shown(found: list[Key]) -> list[dict[str, Any]]:
    return [asdict(key) for key in found[:_SHOWN]]
