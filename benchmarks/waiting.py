"""Tasks of several kinds that wait, in rows and in Redis, before anybody starts to work. Times nothing.

`preload` makes tasks that are all alike; these differ.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.preload import LIST, ids, settle, values
from benchmarks.stage import Stage
from sluice.core.task import Kind
from sluice.db.statements import positional

_CHUNK = 5000


async def wait_in_line(stage: Stage, kinds: Sequence[Kind], *, payload: str | None = None) -> list[str]:
    """One pending row for each of `kinds`, in this order, their ids in the list; the ids."""
    sql, names = positional("submit")
    made: list[str] = []
    async with stage.connection() as connection:
        for start in range(0, len(kinds), _CHUNK):
            chunk = kinds[start : start + _CHUNK]
            new = values(len(chunk), chunk[0])
            new["kinds"] = list(chunk)
            if payload is not None:
                new["payloads"] = [payload] * len(chunk)
            await connection.execute(sql, *(new[name] for name in names))
            await stage.redis.lpush(LIST, *ids(new))
            made += ids(new)
        await settle(connection)
    return made
