"""The limit: the product's own statements driven by asyncpg alone, with nothing around them. Runs no handler.

Usage: python -m benchmarks.bare drain BATCH | insert BATCH SECONDS | latency TASKS PER_SECOND. Prints a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import uvloop
from redis.asyncio import Redis

from benchmarks.handlers import KIND
from benchmarks.preload import LIST, ids, values
from sluice.core.ids import new_consumer_id
from sluice.core.settings import StoreSettings, load
from sluice.db.statements import positional

Record = asyncpg.Record
_CONNECTIONS = 2
_BLOCK_SECONDS = 1.0


class Bare:
    """Connections and prepared statements, as fast as they come."""

    def __init__(self, redis: Redis, connections: list[asyncpg.Connection[Record]]) -> None:
        self.redis = redis
        self.connections = connections
        self._me = str(new_consumer_id())

    async def prepare(
        self, connection: asyncpg.Connection[Record], name: str
    ) -> Callable[[dict[str, Any]], Coroutine[Any, Any, list[Record]]]:
        """A statement of the product, to be called with its parameters by name."""
        sql, names = positional(name)
        prepared = await connection.prepare(sql)

        async def send(parameters: dict[str, Any]) -> list[Record]:
            rows: list[Record] = await prepared.fetch(*(parameters[key] for key in names))
            return rows

        return send

    async def pop(self, n: int) -> list[str]:
        """Up to `n` ids from the old end."""
        found = await self.redis.execute_command("LMPOP", 1, LIST, "RIGHT", "COUNT", n)  # type: ignore[no-untyped-call]
        return sorted(entry.decode() for entry in found[1]) if found else []

    def claim(self, popped: list[str]) -> dict[str, Any]:
        """The parameters of claim.sql."""
        return {"ids": popped, "consumer_id": self._me, "kinds": [KIND], "suspects": True}

    def finish(self, rows: list[Record]) -> dict[str, Any]:
        """The parameters of finish.sql."""
        rows = sorted(rows, key=lambda row: row["id"])
        return {
            "ids": [row["id"] for row in rows],
            "tokens": [row["fencing_token"] for row in rows],
            "results": None,
        }


async def drain(bare: Bare, batch: int) -> dict[str, Any]:
    """Each connection claims a batch, then finishes it, while the next batch is popped already."""
    began = time.monotonic()

    async def walk(connection: asyncpg.Connection[Record]) -> None:
        claim = await bare.prepare(connection, "claim")
        finish = await bare.prepare(connection, "finish")
        popped = await bare.pop(batch)
        while popped:
            async with asyncio.TaskGroup() as group:
                ahead = group.create_task(bare.pop(batch))
                await finish(bare.finish(await claim(bare.claim(popped))))
            popped = ahead.result()

    async with asyncio.TaskGroup() as group:
        for connection in bare.connections:
            group.create_task(walk(connection))
    return {"wall_seconds": round(time.monotonic() - began, 4)}


async def insert(bare: Bare, batch: int, seconds: float) -> dict[str, Any]:
    """submit.sql and one LPUSH, batch after batch on each connection; rows a second."""
    rows = 0
    began = time.monotonic()

    async def fill(connection: asyncpg.Connection[Record]) -> None:
        nonlocal rows
        submit = await bare.prepare(connection, "submit")
        while time.monotonic() - began < seconds:
            new = values(batch, KIND)
            await submit(new)
            await bare.redis.lpush(LIST, *ids(new))
            rows += batch

    async with asyncio.TaskGroup() as group:
        for connection in bare.connections:
            group.create_task(fill(connection))
    return {"rows": rows, "rate": rows / (time.monotonic() - began)}


async def latency(bare: Bare, tasks: int, rate: float) -> dict[str, Any]:
    """One row at a time in an open loop: inserted, pushed, popped by one that waits, claimed, finished."""
    submitter, worker = bare.connections
    submit = await bare.prepare(submitter, "submit")
    claim = await bare.prepare(worker, "claim")
    finish = await bare.prepare(worker, "finish")

    async def work() -> None:
        for _ in range(tasks):
            found = None
            while found is None:
                found = await bare.redis.execute_command(  # type: ignore[no-untyped-call]
                    "BLMPOP", _BLOCK_SECONDS, 1, LIST, "RIGHT", "COUNT", 1
                )
            await finish(bare.finish(await claim(bare.claim([found[1][0].decode()]))))

    async with asyncio.TaskGroup() as group:
        group.create_task(work())
        for at in schedule(tasks, rate):
            await asyncio.sleep(at - time.monotonic())
            new = values(1, KIND)
            await submit(new)
            await bare.redis.lpush(LIST, *ids(new))
    return {}


def schedule(n: int, rate: float) -> list[float]:
    """When each of `n` is to happen, `rate` a second with jitter, on the monotonic clock."""
    began = time.monotonic() + 0.1
    return [began + (i + random.uniform(-0.4, 0.4)) / rate for i in range(n)]


async def main(duty: str, *arguments: str) -> dict[str, Any]:
    """Do one duty; what to print, with the CPU seconds that it took."""
    settings = load(StoreSettings)
    duties: dict[str, Callable[..., Coroutine[Any, Any, dict[str, Any]]]] = {
        "drain": drain,
        "insert": insert,
        "latency": latency,
    }
    async with AsyncExitStack() as stack:
        redis = Redis.from_url(settings.redis_url.get_secret_value())
        stack.push_async_callback(redis.aclose)
        connections = []
        for _ in range(_CONNECTIONS):
            connection = await asyncpg.connect(settings.database_url.get_secret_value())
            stack.push_async_callback(connection.close)
            connections.append(connection)
        bare = Bare(redis, connections)
        began = time.process_time()
        found = await duties[duty](bare, *(float(word) if "." in word else int(word) for word in arguments))
    return {**found, "cpu_seconds": round(time.process_time() - began, 3)}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(*sys.argv[1:]))))
