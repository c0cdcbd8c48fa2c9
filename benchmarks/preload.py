"""Tasks that wait, in rows and in Redis, before anybody starts to work. Times nothing."""

from __future__ import annotations

import asyncpg

from benchmarks.handlers import KIND
from benchmarks.stage import Stage
from sluice.consumer.handlers.loader import load
from sluice.core.audience import Audiences, Signature
from sluice.core.ids import new_task_id
from sluice.core.task import (
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_PRIORITY,
    DEFAULT_QUEUE,
    DEFAULT_TIMEOUT_SECONDS,
    Kind,
)
from sluice.db.keys import Keys
from sluice.db.statements import positional

HANDLERS = "benchmarks.handlers"
_AUDIENCES = Audiences([Signature.of([DEFAULT_QUEUE], load([HANDLERS]))])


def list_of(priority: int) -> str:
    """The key of the list that the benchmarks' consumers pop at a priority."""
    ready = _AUDIENCES.list_of(DEFAULT_QUEUE, KIND, priority)
    assert ready is not None  # noqa: S101 - they serve this kind
    return Keys("sluice").ready(ready)


LIST = list_of(DEFAULT_PRIORITY)
MESSAGE = "Hello World"
PAYLOAD = (
    '{"customer":"c-1029384756","items":[{"sku":"A-100","n":3},{"sku":"B-200","n":1}],"note":"'
    + "x" * 110
    + '"}'
)
"""200 bytes, what a task that carries its arguments may hold."""
_CHUNK = 5000


def values(n: int, kind: Kind) -> dict[str, list[object]]:
    """The parameters of submit.sql for `n` new tasks."""
    return {
        "ids": [str(new_task_id()) for _ in range(n)],
        "kinds": [kind] * n,
        "queues": [DEFAULT_QUEUE] * n,
        "priorities": [DEFAULT_PRIORITY] * n,
        "messages": [MESSAGE] * n,
        "payloads": [PAYLOAD] * n,
        "run_ats": [None] * n,
        "delays": [None] * n,
        "max_attempts": [DEFAULT_MAX_ATTEMPTS] * n,
        "timeouts": [DEFAULT_TIMEOUT_SECONDS] * n,
    }


def ids(new: dict[str, list[object]]) -> list[str]:
    """Their ids, as Redis takes them."""
    return [str(one) for one in new["ids"]]


async def preload(stage: Stage, n: int, kind: Kind) -> None:
    """`n` pending rows, and their ids in the list, the oldest to leave first."""
    sql, names = positional("submit")
    async with stage.connection() as connection:
        for start in range(0, n, _CHUNK):
            new = values(min(_CHUNK, n - start), kind)
            await connection.execute(sql, *(new[name] for name in names))
            await stage.redis.lpush(LIST, *ids(new))
        await settle(connection)


async def settle(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Let no work of the preparation fall into the measurement."""
    await connection.execute("VACUUM ANALYZE tasks")
    await connection.execute("CHECKPOINT")
