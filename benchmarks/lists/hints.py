"""Scene `hints`: how many hints are pushed for a task, counted by Redis itself, which tells of every command.

`delayed`: tasks that fall due faster than several consumers work, each of which promotes. `unserved`: a few tasks of
queues that nobody serves, watched for a while. `turns`: how often the rows of upkeep are updated while delayed tasks
come in.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from benchmarks.cpu import Meter
from benchmarks.handlers import SLEEPS
from benchmarks.lists.place import bodies, opened, waits
from benchmarks.lists.rediskeys import entries
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import BrokenRun, Stage

DELAYED, UNSERVED, TURNS = (
    "lists, hints of a delayed task",
    "lists, hints of an unserved task",
    "lists, turns",
)
OURS = "sluice"
PER_SECOND = 50.0
COMPARISONS = (
    Comparison("hints pushed for a delayed task, 4 consumers", DELAYED, OURS, None, at_most=1.5),
    Comparison("hints pushed for a task that nobody serves", UNSERVED, OURS, None, at_most=1),
    Comparison(
        "updates of the turns' rows, 50 delayed tasks a second", TURNS, OURS, None, at_most=2 * PER_SECOND
    ),
)
RUNS = 3
SECONDS = 60.0
_CONSUMERS = 4
_TASKS, _DUE_FROM, _DUE_WITHIN = 1000, 2.0, 3.0
_UNSERVED, _QUEUES = 20, 4
_COMING, _DELAYS = 250, (0.9, 0.5, 0.2, 0.05)
_SETTLES, _COUNTED = 2.0, 1.5
_PUSHES = frozenset({"LPUSH", "RPUSH", "LPUSHX", "RPUSHX", "LINSERT", "ZADD", "SADD", "XADD"})
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UPDATES = """
SELECT CAST(n_tup_upd AS integer) FROM pg_stat_user_tables WHERE relname = 'upkeep'
"""


class Watch:
    """What was pushed since the watch began."""

    def __init__(self) -> None:
        self.pushed = 0
        self.commands = 0

    def hear(self, command: str) -> None:
        """One command as Redis tells it: its name and its arguments, of a script those that it gave itself."""
        name, _, arguments = command.partition(" ")
        self.commands += 1
        if name.strip('"').upper() in _PUSHES:
            self.pushed += len(_ID.findall(arguments))


@asynccontextmanager
async def watching(stage: Stage) -> AsyncIterator[Watch]:
    """Have Redis tell of every command."""
    watch = Watch()
    async with stage.redis.monitor() as monitor:

        async def listen() -> None:
            while True:
                told = await monitor.next_command()
                watch.hear(told["command"])

        async with asyncio.TaskGroup() as group:
            listening = group.create_task(listen())
            try:
                yield watch
            finally:
                listening.cancel()
                with suppress(asyncio.CancelledError):
                    await listening


async def run(stage: Stage, *, rounds: int, repeats: int, seconds: float = SECONDS) -> AsyncIterator[Run]:
    """Three figures of each round."""
    for turn in turns((OURS,), rounds):
        async for made in repeated(partial(_round, stage, turn, seconds), repeats):
            yield made


async def _round(stage: Stage, turn: Turn, seconds: float, attempt: int) -> AsyncIterator[Run]:
    for workload, measured in (
        (DELAYED, _delayed(stage)),
        (UNSERVED, _unserved(stage, seconds)),
        (TURNS, _turns(stage)),
    ):
        value, unit, facts = await measured
        yield Run(workload, OURS, turn.number, attempt, value, unit, facts)


async def _delayed(stage: Stage) -> tuple[float, str, dict[str, Any]]:
    await stage.fresh()
    delays = [_DUE_FROM + n * _DUE_WITHIN / _TASKS for n in range(_TASKS)]
    tasks = [body for delay in delays for body in bodies(1, kind=SLEEPS[25], delay=delay)]
    busy = {"WORKER_QUEUE_MAXSIZE": "1"}
    async with opened(stage, *(busy,) * _CONSUMERS) as place, watching(stage) as watch:
        with Meter({"consumer": place.consumers[0].pid, **stage.server_pids}) as meter:
            ids = await place.submit_together(tasks)
            late = await waits(stage, ids)
            await asyncio.sleep(_SETTLES)
        pushed = watch.pushed
    facts = {"pushed": pushed, "tasks": len(ids), "latest_ms": round(max(late.values()), 1), **meter.facts}
    return pushed / len(ids), "hints", facts


async def _unserved(stage: Stage, seconds: float) -> tuple[float, str, dict[str, Any]]:
    await stage.fresh()
    async with opened(stage, {}) as place, watching(stage) as watch:
        with Meter({"consumer": place.consumers[0].pid, **stage.server_pids}) as meter:
            tasks = [
                body for n in range(_QUEUES) for body in bodies(_UNSERVED // _QUEUES, queue=f"nobody-{n}")
            ]
            await place.submit_together(tasks)
            await asyncio.sleep(seconds)
        pushed, listed = watch.pushed, await entries(stage)
    facts = {
        "pushed": pushed,
        "listed": listed,
        "tasks": _UNSERVED,
        "watched_seconds": seconds,
        **meter.facts,
    }
    return pushed / _UNSERVED, "hints", facts


async def _turns(stage: Stage) -> tuple[float, str, dict[str, Any]]:
    await stage.fresh()
    tasks = [bodies(1, delay=_DELAYS[n % len(_DELAYS)])[0] for n in range(_COMING)]
    async with opened(stage, *({},) * _CONSUMERS) as place, stage.connection() as connection:

        async def updates() -> int:
            await asyncio.sleep(_COUNTED)  # a backend tells its counts a second late
            found = await connection.fetchval(_UPDATES)
            if found is None:
                raise BrokenRun("PostgreSQL counts no updates")
            return int(found)

        before = await updates()
        with Meter({"consumer": place.consumers[0].pid, **stage.server_pids}) as meter:
            ids = await place.submit(*tasks, per_second=PER_SECOND)
            await waits(stage, ids)
            made = await updates() - before
    facts = {"updates": made, "tasks": len(ids), **meter.facts}
    return made / meter.facts["metered_seconds"], "updates/s", facts
