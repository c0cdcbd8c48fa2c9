"""Tasks that keep coming, and bare statements that keep up with them: two programs that run beside each other.

Usage: python -m benchmarks.flow produce DEPTH BATCH SECONDS | consume BATCH. Prints a line of JSON.
`produce` holds the list at DEPTH by submit.sql and LPUSH. `consume` pops, claims and finishes until nothing has come
for two seconds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from statistics import fmean
from typing import Any

import asyncpg
import uvloop
from redis.asyncio import Redis

from benchmarks.bare import Bare
from benchmarks.handlers import KIND
from benchmarks.preload import LIST, ids, values
from sluice.core.settings import StoreSettings, load

CONSUMING = 2
_LOOK = 0.002
_PATIENCE = 10.0
_NOTHING_MORE = 2.0
_PARTS = 10


async def produce(bare: Bare, depth: int, batch: int, seconds: int) -> dict[str, Any]:
    """Insert whenever there is room for a batch below `depth`; how deep the list was, in each tenth of the time."""
    submit = await bare.prepare(bare.connections[0], "submit")
    depths: list[list[int]] = [[] for _ in range(_PARTS)]
    rows = 0
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        waiting = await bare.redis.llen(LIST)
        depths[int(_PARTS * passed / seconds)].append(waiting)
        if waiting + batch > depth:
            await asyncio.sleep(_LOOK)
            continue
        new = values(batch, KIND)
        await submit(new)
        await bare.redis.lpush(LIST, *ids(new))
        rows += batch
    looks = [look for tenth in depths for look in tenth]
    return {
        "rows": rows,
        "depths": [round(fmean(tenth)) if tenth else None for tenth in depths],
        "looks": len(looks),
        "looks_at_nothing": looks.count(0),
    }


async def consume(bare: Bare, batch: int) -> dict[str, Any]:
    """Each connection pops a batch, claims it and finishes it, while the next one is popped already."""
    tasks = 0

    async def pop(patience: float) -> list[str]:
        found = await bare.redis.execute_command(  # type: ignore[no-untyped-call]
            "BLMPOP", patience, 1, LIST, "RIGHT", "COUNT", batch
        )
        return sorted(entry.decode() for entry in found[1]) if found else []

    async def walk(connection: asyncpg.Connection[asyncpg.Record]) -> None:
        nonlocal tasks
        claim = await bare.prepare(connection, "claim")
        finish = await bare.prepare(connection, "finish")
        popped = await pop(_PATIENCE)
        while popped:
            async with asyncio.TaskGroup() as group:
                ahead = group.create_task(pop(_NOTHING_MORE))
                rows = await claim(bare.claim(popped))
                await finish(bare.finish(rows))
                tasks += len(rows)
            popped = ahead.result()

    async with asyncio.TaskGroup() as group:
        for connection in bare.connections:
            group.create_task(walk(connection))
    return {"tasks": tasks}


async def main(duty: str, *numbers: str) -> dict[str, Any]:
    """Do one duty; what to print, with the CPU seconds that it took."""
    settings = load(StoreSettings)
    async with AsyncExitStack() as stack:
        redis = Redis.from_url(settings.redis_url.get_secret_value(), socket_timeout=2 * _PATIENCE)
        stack.push_async_callback(redis.aclose)
        connections = []
        for _ in range(1 if duty == "produce" else CONSUMING):
            connection = await asyncpg.connect(settings.database_url.get_secret_value())
            stack.push_async_callback(connection.close)
            connections.append(connection)
        bare = Bare(redis, connections)
        spent = time.process_time()
        found = await (
            produce(bare, *map(int, numbers)) if duty == "produce" else consume(bare, *map(int, numbers))
        )
    return {**found, "cpu_seconds": round(time.process_time() - spent, 3)}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(*sys.argv[1:]))))
