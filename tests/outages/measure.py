"""How fast a full queue is emptied while Redis is lost on the way, or was never there, beside an undisturbed run.

Refuses to judge a run that lost or repeated a task. Usage: python -m tests.outages.measure [--help]; `make outages`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import show
from benchmarks.cpu import Meter
from benchmarks.drain import SETTINGS
from benchmarks.handlers import KIND
from benchmarks.preload import LIST, preload
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Figure, Run, Turn, figures, turns
from benchmarks.stage import BrokenRun, Stage, until
from sluice.core.errors import SluiceError

WORKLOAD = "outage"
UNDISTURBED, KILLED, FLUSHED, NONE = (
    "undisturbed",
    "Redis killed, back empty",
    "Redis flushed twice",
    "no Redis",
)
COMPARISONS = (
    Comparison("after Redis came back empty", WORKLOAD, KILLED, UNDISTURBED, target=0.7),
    Comparison("after two FLUSHALLs", WORKLOAD, FLUSHED, UNDISTURBED, target=0.7),
    Comparison("without any Redis", WORKLOAD, NONE, UNDISTURBED, target=0.4),
)
FIRST_PROGRESS_SECONDS = 10.0
BEFORE_THE_LOSS = 0.05
BETWEEN_FLUSHES = 1.0
_LOOK = 0.02
# What was finished after the loss, from the end of the longest standstill on.
_AFTER = """
WITH done AS (
  SELECT finished_at, finished_at - lag(finished_at) OVER (ORDER BY finished_at) AS stood
    FROM tasks
), again AS (
  SELECT finished_at, stood FROM done WHERE finished_at > $1 ORDER BY stood DESC LIMIT 1
)
SELECT count(*) AS n,
       CAST(extract(epoch FROM max(done.finished_at) - min(again.finished_at)) AS double precision) AS seconds,
       CAST(extract(epoch FROM min(again.finished_at) - $1) AS double precision) AS resumed,
       CAST(extract(epoch FROM min(again.stood)) AS double precision) AS stood
  FROM done, again
 WHERE done.finished_at >= again.finished_at
"""
_SUMS = """
SELECT count(*) FILTER (WHERE status <> 'completed') AS lost,
       count(*) FILTER (WHERE fencing_token > 2) AS repeated,
       CAST(extract(epoch FROM max(finished_at) - min(started_at)) AS double precision) AS seconds
  FROM tasks
"""


async def run(stage: Stage, *, tasks: int, rounds: int, repeats: int) -> AsyncIterator[Run]:
    """Every run of every side, as it is done."""
    for turn in turns((UNDISTURBED, KILLED, FLUSHED, NONE), rounds):
        async for made in repeated(partial(_round, stage, turn, tasks), repeats):
            yield made


async def _round(stage: Stage, turn: Turn, tasks: int, attempt: int) -> AsyncIterator[Run]:
    for side in turn.order:
        await stage.fresh()
        await preload(stage, tasks, KIND)
        rate, facts = await _drain(stage, side, tasks)
        yield Run(WORKLOAD, side, turn.number, attempt, rate, "tasks/s", facts)


async def _drain(stage: Stage, side: str, tasks: int) -> tuple[float, dict[str, Any]]:
    """One consumer process empties the queue; the rate that this side is about."""
    settings = {**SETTINGS, **({"REDIS_URL": ""} if side == NONE else {})}
    pids = {**stage.server_pids, "valkey again": 0}
    async with stage.program("consumer", settings=settings) as program, stage.connection() as rows:

        async def begun() -> bool:
            if side == NONE:
                return bool(
                    await rows.fetchval("SELECT EXISTS (SELECT FROM tasks WHERE status = 'processing')")
                )
            return await stage.redis.llen(LIST) < tasks * (1 - BEFORE_THE_LOSS)

        async def done() -> bool:
            return not await rows.fetchval(
                "SELECT EXISTS (SELECT FROM tasks WHERE status = 'pending')"
                " OR EXISTS (SELECT FROM tasks WHERE status = 'processing')"
            )

        await until(begun, every=_LOOK, program=program)
        pids["consumer"] = program.pid
        with Meter(pids) as meter:
            lost_at = await rows.fetchval("SELECT clock_timestamp()")
            if side == KILLED:
                pids["valkey again"] = await _lose_redis(stage)
            elif side == FLUSHED:
                await stage.redis.flushall()
                await asyncio.sleep(BETWEEN_FLUSHES)
                await stage.redis.flushall()
            await until(done, every=_LOOK * 5, program=program)
        await program.stop()
        found, after = await rows.fetchrow(_SUMS), await rows.fetchrow(_AFTER, lost_at)
    if found is None or after is None or found["lost"] or found["repeated"]:
        raise BrokenRun(f"{side}: of {tasks} tasks {found}: lost or repeated, so there is no rate")
    whole = tasks / found["seconds"]
    facts = {**dict(after), "whole_rate": round(whole), **meter.facts}
    if side not in {KILLED, FLUSHED}:
        return whole, facts
    if after["resumed"] > FIRST_PROGRESS_SECONDS:
        raise BrokenRun(f"{side}: no progress for {after['resumed']:.1f} s")
    return after["n"] / after["seconds"], facts


async def _lose_redis(stage: Stage) -> int:
    """SIGKILL it and start it again on nothing; its new pid."""
    valkey = stage._servers.valkey
    await valkey.kill()
    valkey.forget()
    await valkey.start()
    return stage.server_pids["valkey"]


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.outages.measure", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="rounds, each with every side (3)")
    parser.add_argument("--tasks", type=int, default=100_000, metavar="N", help="tasks that wait (100000)")
    parser.add_argument(
        "--repeats", type=int, default=1, metavar="N", help="how often a noisy round is made again (1)"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every run there as well")
    return parser.parse_args(words)


async def measure(options: argparse.Namespace) -> Sequence[Figure]:
    """Every run; the figures, printed."""
    runs: list[Run] = []
    with show.Progress(options.runs * 4) as progress:
        async with Stage.open(progress.say) as stage:
            async for made in run(stage, tasks=options.tasks, rounds=options.runs, repeats=options.repeats):
                progress.ran(made)
                if made.side in {KILLED, FLUSHED}:
                    progress.say(
                        f"stood still for {made.facts['stood']:.2f} s, went on {made.facts['resumed']:.2f} s after the "
                        f"loss; {made.facts['whole_rate']:,} tasks/s over all"
                    )
                runs.append(made)
    found = figures(runs, COMPARISONS)
    show.table(found, runs)
    if options.json is not None:
        show.write(
            options.json,
            {
                "tasks": options.tasks,
                "figures": [{**asdict(figure), "met": figure.met} for figure in found],
                "runs": [asdict(made) for made in runs],
            },
        )
    return found


def main() -> int:
    """Measure, print; 1 when a target is missed."""
    try:
        found = asyncio.run(measure(parse()))
    except SluiceError as error:
        sys.stderr.write(f"outages: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return int(any(figure.met is False for figure in found))


if __name__ == "__main__":
    sys.exit(main())
