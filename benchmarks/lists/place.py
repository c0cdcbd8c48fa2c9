"""An API and consumers on the stage's database, tasks submitted to them over HTTP, and when these were started.

Knows nothing of what lies in Redis: a task comes in by HTTP or as a row, and what became of it is read from its row.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx2

from benchmarks.consuming import LOOK, SETTINGS, observer
from benchmarks.handlers import KIND
from benchmarks.stage import BrokenRun, Program, Stage, until
from benchmarks.submit import Site, serve

WITHOUT_REDIS = {"REDIS_URL": ""}
PATIENCE = 30.0
"""Seconds after which a task that has not started counts as started now."""
_BATCH = 10_000
_TIMEOUT = 60
_ALIVE = "SELECT count(*) FROM consumers WHERE expires_at > now()"
_UNSTARTED = "SELECT count(*) FROM tasks WHERE id = ANY ($1) AND started_at IS NULL"
_SINCE = """
SELECT id,
       CAST(extract(epoch FROM coalesce(started_at, clock_timestamp()) - {since}) * 1000 AS double precision)
         AS waited
  FROM tasks
 WHERE id = ANY ($1)
"""
_WAITED = _SINCE.format(since="run_at")
_REGISTERED = _SINCE.format(since="(SELECT min(started_at) FROM consumers)")
_FORGET = "DELETE FROM tasks WHERE id = ANY ($1) AND status = 'pending'"
_BY_SQL = """
INSERT INTO tasks (id, kind, queue, priority, message, payload, max_attempts, timeout)
SELECT uuidv7(), $2, $3, 5, 'no hint', '{}', 5, 3600 FROM generate_series(1, CAST($1 AS integer))
RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Place:
    """What runs: an API with a client, and consumers in the order in which they were started."""

    stage: Stage
    api: Site
    http: httpx2.AsyncClient
    consumers: tuple[Program, ...]

    async def submit(self, *bodies: Mapping[str, Any], per_second: float) -> list[UUID]:
        """Send these one by one in an open loop, whatever became of earlier ones; their ids. Raises BrokenRun."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            sent = []
            for number, body in enumerate(bodies):
                await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
                sent.append(group.create_task(self._post("/tasks", body)))
        return [UUID(one.result()["id"]) for one in sent]

    async def submit_together(self, bodies: Sequence[Mapping[str, Any]]) -> list[UUID]:
        """Send these in batches as large as the API takes; their ids. Raises BrokenRun."""
        made: list[UUID] = []
        for first in range(0, len(bodies), _BATCH):
            answer = await self._post("/tasks/batch", {"tasks": bodies[first : first + _BATCH]})
            made += map(UUID, answer["ids"])
        return made

    async def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = await self.http.post(path, json=body)
        if answer.status_code != httpx2.codes.CREATED:
            raise BrokenRun(f"{path} answered {answer.status_code}: {answer.text[:500]}")
        found: dict[str, Any] = answer.json()
        return found


@asynccontextmanager
async def opened(
    stage: Stage, *consumers: Mapping[str, str], redis: bool = True, stop: bool = True
) -> AsyncIterator[Place]:
    """Consumers with these settings, then an API that knows them. `stop`: they must end well on SIGTERM as well."""
    common = {} if redis else WITHOUT_REDIS
    async with AsyncExitStack() as stack:
        programs = [
            await stack.enter_async_context(consuming(stage, {**chosen, **common}, alive=number))
            for number, chosen in enumerate(consumers, 1)
        ]
        api = await serve(stage, stack, "api", common)
        address = f"http://127.0.0.1:{api.port}"
        http = await stack.enter_async_context(httpx2.AsyncClient(base_url=address, timeout=_TIMEOUT))
        yield Place(stage, api, http, tuple(programs))
        if stop:
            for program in (*programs, api.program):
                await program.stop()


@asynccontextmanager
async def consuming(stage: Stage, settings: Mapping[str, str], *, alive: int = 1) -> AsyncIterator[Program]:
    """A consumer, once so many of them are `alive` by the database's word; gone at the end, whatever its state."""
    async with stage.program("consumer", settings={**SETTINGS, **settings}) as program:
        async with observer(stage) as look:

            async def serves() -> bool:
                return int(await look.fetchval(_ALIVE)) >= alive

            await until(serves, every=LOOK, program=program)
        yield program


def bodies(n: int, **fields: Any) -> list[dict[str, Any]]:
    """`n` submissions that are alike, of a kind whose handler does nothing unless another is named."""
    return [{"kind": KIND, "payload": {}, **fields}] * n


async def rows_alone(stage: Stage, n: int, *, kind: str = KIND, queue: str = "default") -> list[UUID]:
    """Commit `n` rows that nobody is told of; their ids."""
    async with stage.connection() as connection:
        return [UUID(str(row["id"])) for row in await connection.fetch(_BY_SQL, n, kind, queue)]


async def waits(stage: Stage, ids: Sequence[UUID], *, within: float = PATIENCE) -> dict[UUID, float]:
    """Milliseconds from each task's run_at to its start, by the database's clock.

    Waits until all have started, `within` seconds at most. Those that have not by then count as starting now.
    """
    return await _starts(stage, _WAITED, ids, within)


async def registered_to_start(
    stage: Stage, ids: Sequence[UUID], *, within: float = PATIENCE
) -> dict[UUID, float]:
    """The same from the first consumer's registration, while its row is there: to be asked before it is stopped."""
    return await _starts(stage, _REGISTERED, ids, within)


async def never_started(stage: Stage, ids: Sequence[UUID]) -> int:
    """How many have not started; they are taken away, so that nothing that comes later meets them."""
    async with stage.connection() as connection:
        found: int = await connection.fetchval(_UNSTARTED, ids)
        await connection.execute(_FORGET, ids)
    return found


async def _starts(stage: Stage, query: str, ids: Sequence[UUID], within: float) -> dict[UUID, float]:
    deadline = time.monotonic() + within
    async with observer(stage) as look:
        unstarted = len(ids)
        while unstarted and time.monotonic() < deadline:
            await asyncio.sleep(LOOK)
            unstarted = await look.fetchval(_UNSTARTED, ids)
    async with stage.connection() as connection:
        found = {UUID(str(row["id"])): float(row["waited"]) for row in await connection.fetch(query, ids)}
    if len(found) != len(ids):
        raise BrokenRun(f"of {len(ids)} tasks {len(found)} have rows")
    return found
