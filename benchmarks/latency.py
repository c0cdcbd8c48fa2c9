"""How long a task waits for its start when nothing else is to do: its row's `started_at - created_at`.

Both instants are the database's. Requests come in an open loop, about 20 a second whatever became of earlier ones.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from benchmarks.cpu import Meter
from benchmarks.drain import SETTINGS as CONSUMER
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import BrokenRun, Stage, until
from benchmarks.submit import Site, serve

WORKLOAD = "latency"
OURS, BARE = "sluice", "bare statements"
COMPARISONS = tuple(
    Comparison(
        f"submit to start when idle, {quantile}",
        f"{WORKLOAD} {quantile}",
        OURS,
        BARE,
        most=most,
        suffices=milliseconds,
    )
    for quantile, most, milliseconds in (("p50", 2, 3), ("p99", 4, 15), ("max", None, None))
)
TASKS = 160
PER_SECOND = 20.0
_WARM_UP = 20
_WAITED = """
SELECT CAST(extract(epoch FROM started_at - created_at) * 1000 AS double precision) AS waited
  FROM tasks
 WHERE status = 'completed'
 ORDER BY id OFFSET $1
"""


async def run(stage: Stage, *, rounds: int, repeats: int) -> AsyncIterator[Run]:
    """Every run of every side, as it is done; three runs each, one for each quantile."""
    await stage.fresh()
    async with AsyncExitStack() as stack:
        api = await serve(stage, stack, "api")
        for turn in turns((OURS, BARE), rounds):
            async for made in repeated(partial(_round, stage, api, turn), repeats):
                yield made
        await api.program.stop()


async def _round(stage: Stage, api: Site, turn: Turn, attempt: int) -> AsyncIterator[Run]:
    for side in turn.order:
        await stage.empty()
        facts = await (_ours(stage, api) if side == OURS else _bare(stage))
        waited = await _waits(stage, side)
        quantiles = {
            "p50": waited[len(waited) // 2],
            "p99": waited[int(len(waited) * 0.99)],
            "max": waited[-1],
        }
        samples = {"waited_ms": [round(one, 3) for one in waited]}
        for name, value in quantiles.items():
            told = {**facts, **(samples if name == "p50" else {})}
            yield Run(f"{WORKLOAD} {name}", side, turn.number, attempt, value, "ms", told)


async def _ours(stage: Stage, api: Site) -> dict[str, Any]:
    async with stage.program("consumer", settings=CONSUMER) as consumer:
        async with stage.connection() as connection:

            async def serves() -> bool:
                return bool(
                    await connection.fetchval(
                        "SELECT EXISTS (SELECT FROM consumers WHERE expires_at > now())"
                    )
                )

            async def done() -> bool:
                return not await connection.fetchval(
                    "SELECT EXISTS (SELECT FROM tasks WHERE finished_at IS NULL)"
                )

            await until(serves, every=0.05, program=consumer)
            arguments = (str(api.port), "/tasks", str(TASKS + _WARM_UP), str(PER_SECOND))
            async with stage.program("benchmarks.load", "open", *arguments) as client:
                pids = {"api": api.program.pid, "consumer": consumer.pid, **stage.server_pids}
                with Meter(pids) as meter:
                    facts = await client.answer()
            await until(done, every=0.05, program=consumer)
        await consumer.stop()
    return {**facts, **meter.facts}


async def _bare(stage: Stage) -> dict[str, Any]:
    async with stage.program("benchmarks.bare", "latency", str(TASKS + _WARM_UP), str(PER_SECOND)) as driver:
        with Meter(stage.server_pids) as meter:
            await driver.answer()
    return meter.facts


async def _waits(stage: Stage, side: str) -> list[float]:
    """Milliseconds from submission to start, sorted, without those that warmed up."""
    async with stage.connection() as connection:
        waited = sorted(row["waited"] for row in await connection.fetch(_WAITED, _WARM_UP))
    if len(waited) != TASKS:
        raise BrokenRun(f"{side}: {len(waited)} of {TASKS} tasks were completed")
    return waited
