"""How an observer outside of the worker sees, in the store alone, that work began and that all of it is done.

The same clock for every side: it starts at the first look that finds the store changed by the worker, and stops at the
first that finds nothing waiting, running or unacknowledged. Looks are cheap, equally far apart for all sides, and late
by half that distance on average, at both ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import asyncpg
from redis.asyncio import Redis

from benchmarks.stage import Stage


class Look(Protocol):
    """An observer of one run."""

    async def began(self) -> bool:
        """Whether a worker has touched a task."""

    async def done(self) -> bool:
        """Whether nothing waits, runs or is unacknowledged."""

    async def kept(self) -> int | None:
        """Completions that the store has kept; None where it keeps none."""


class Watch(Protocol):
    """How the tasks of one queue are observed."""

    def open(self, stage: Stage, tasks: int) -> AbstractAsyncContextManager[Look]:
        """Begin to observe, while `tasks` tasks wait and no worker runs."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Tasks in PostgreSQL: statements that give one value. They may name the number of tasks as `{tasks}`.

    `began` and `left` are boolean. `left` asks for the newest task by its key first: that is false only near the end,
    so what comes after its OR, and may have to scan, is not evaluated before.
    """

    began: str
    left: str
    kept: str | None = None

    @asynccontextmanager
    async def open(self, stage: Stage, tasks: int) -> AsyncIterator[Look]:
        """As `Watch.open`."""
        async with stage.connection() as connection:
            yield _RowsLook(self, connection, tasks)


class _RowsLook:
    def __init__(self, rows: Rows, connection: asyncpg.Connection[asyncpg.Record], tasks: int) -> None:
        self._rows = rows
        self._connection = connection
        self._tasks = tasks

    async def began(self) -> bool:
        return await self._true(self._rows.began)

    async def done(self) -> bool:
        return not await self._true(self._rows.left)

    async def kept(self) -> int | None:
        return None if self._rows.kept is None else int(await self._connection.fetchval(self._rows.kept))

    async def _true(self, statement: str) -> bool:
        return bool(await self._connection.fetchval(statement.format(tasks=self._tasks)))


@dataclass(frozen=True, slots=True)
class Sizes:
    """Tasks in Redis: commands whose answers are sizes that reach zero together, and not before all is done.

    For XINFO GROUPS the size is what the groups have not read or not acknowledged. `kept` is a command whose answer
    counts completions.
    """

    left: tuple[tuple[str, ...], ...]
    kept: tuple[str, ...] | None = None

    @asynccontextmanager
    async def open(self, stage: Stage, tasks: int) -> AsyncIterator[Look]:  # noqa: ARG002 - the sizes tell
        """As `Watch.open`."""
        look = _SizesLook(self, stage.redis)
        await look.remember()
        yield look


class _SizesLook:
    def __init__(self, sizes: Sizes, redis: Redis) -> None:
        self._sizes = sizes
        self._redis = redis
        self._before: list[int] = []

    async def remember(self) -> None:
        self._before = await self._now()

    async def began(self) -> bool:
        return await self._now() != self._before

    async def done(self) -> bool:
        return not any(await self._now())

    async def kept(self) -> int | None:
        if self._sizes.kept is None:
            return None
        return _size(await self._redis.execute_command(*self._sizes.kept))  # type: ignore[no-untyped-call]

    async def _now(self) -> list[int]:
        async with self._redis.pipeline(transaction=True) as pipeline:
            for command in self._sizes.left:
                pipeline.execute_command(*command)
            return [_size(answer) for answer in await pipeline.execute()]


def _size(answer: int | list[dict[str, int]]) -> int:
    if isinstance(answer, list):
        return sum(group["lag"] + group["pending"] for group in answer)
    return answer
