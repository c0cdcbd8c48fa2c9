"""The same verbs on real PostgreSQL, through the classes of db/: arguments and answers as life_model.py has them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from sluice.core.errors import TaskNotFound, TransitionRefused
from sluice.core.outcome import Completion, Failing, Failure, Return
from sluice.core.task import DEFAULT_QUEUE, ConsumerId, FencingToken, JsonText, NewTask, TaskId
from sluice.db.claims import Claims, Lane
from sluice.db.consumers import Consumers, Registration
from sluice.db.rows import Place
from sluice.db.session import Database, make_engine
from sluice.db.tasks import Tasks
from sluice.db.upkeep import Upkeep
from tests.property.life_model import Key, Model, Row
from tests.support.clocked import begin_again, move_on
from tests.support.stores import ECHO

_TIMES = "created_at, updated_at, run_at, started_at, finished_at"
_ROWS = f"""
SELECT id, status, fencing_token, attempt, crashes, consumer_id, canceled_from, result #>> '{{}}' AS result,
       CASE error ->> 'type' WHEN 'ValueError' THEN 'E' ELSE error ->> 'type' END AS error, {_TIMES}
  FROM tasks
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Verbs:
    """Each takes a batch where the statement does, and says what came of each task."""

    tasks: Tasks
    claims: Claims
    consumers: Consumers
    upkeep: Upkeep
    raw: asyncpg.Connection[Any]

    async def begin_again(self) -> None:
        await begin_again(self.raw)

    async def move_on(self, by: timedelta) -> None:
        await move_on(self.raw, by)

    async def rows(self) -> dict[UUID, Row]:
        """What Model.tasks should be."""
        found = [dict(row) for row in await self.raw.fetch(_ROWS)]
        return {row.pop("id"): row for row in found}

    async def submit(self, ids: Sequence[UUID], delay: timedelta) -> list[bool]:
        wait = delay.total_seconds() or None
        accepted = await self.tasks.submit([NewTask(id=TaskId(one), kind=ECHO, delay=wait) for one in ids])
        return [accepted[TaskId(one)].due for one in ids]

    async def claim(
        self, ids: Sequence[UUID], me: UUID, *, suspects: bool = True
    ) -> list[tuple[int, int, int] | None]:
        claims = await self.claims.claim(
            [TaskId(one) for one in ids], consumer=ConsumerId(me), kinds=[ECHO], suspects=suspects
        )
        found = {claim.id: (claim.token, claim.attempt, claim.crashes) for claim in claims}
        return [found.get(TaskId(one)) for one in ids]

    async def claim_ready(self, n: int, me: UUID, *, suspect: int) -> dict[UUID, int]:
        lanes = {lane: Place(first, TaskId(UUID(int=0))) for lane, first in await self.lanes()}
        claims, _ = await self.claims.claim_ready(lanes, n, consumer=ConsumerId(me), suspect=suspect)
        return {claim.id: claim.token for claim in claims}

    async def lanes(self) -> list[tuple[Lane, datetime]]:
        return await self.claims.lanes([DEFAULT_QUEUE], [ECHO], 10)

    async def finish(self, keys: Sequence[Key], result: str) -> int:
        return (await self.claims.finish([Completion(*_run(key), JsonText(result)) for key in keys])).rows

    async def fail(self, keys: Sequence[Key], delay: timedelta | None) -> int:
        failure = Failure("ValueError", "no")
        return (await self.claims.fail([Failing(*_run(key), failure, delay) for key in keys])).rows

    async def give_back(self, keys: Sequence[Key], delay: timedelta) -> int:
        return (await self.claims.give_back([Return(*_run(key), delay) for key in keys])).rows

    async def reap(self, keys: Sequence[Key], spread: timedelta) -> int:
        return len(await self.upkeep.reap([_run(key) for key in keys], spread))

    async def cancel(self, task: UUID) -> str:
        try:
            canceled, did = await self.tasks.cancel(TaskId(task))
        except (TaskNotFound, TransitionRefused) as refused:
            return type(refused).__name__
        return canceled.status if did else "as it was"

    async def retry(self, task: UUID) -> str:
        try:
            return (await self.tasks.retry(TaskId(task))).status
        except (TaskNotFound, TransitionRefused) as refused:
            return type(refused).__name__

    async def register(self, me: UUID, lease: timedelta) -> None:
        facts = Registration("host", 1, [DEFAULT_QUEUE], [ECHO], 1, lease)
        await self.consumers.register(ConsumerId(me), facts)

    async def judge(self, me: UUID, *, early: bool) -> bool:
        """By what it saw, or by what was seen before the last beat."""
        seen = [beat for beat in await self.upkeep.beats() if beat.consumer == me]
        return await self.upkeep.declare_dead([replace(one, at="") if early else one for one in seen]) > 0

    async def name_suspect(self, run: Key, me: UUID) -> bool:
        return await self.consumers.name_suspect(ConsumerId(me), _run(run))

    async def agree(self, model: Model) -> None:
        """Row by row."""
        rows = await self.rows()
        assert rows.keys() == model.tasks.keys()
        for task, row in rows.items():
            assert row == model.tasks[task], task


def _run(key: Key) -> tuple[TaskId, FencingToken]:
    return TaskId(key[0]), FencingToken(key[1])


@asynccontextmanager
async def verbs(url: str) -> AsyncIterator[Verbs]:
    """On a clocked database."""
    engine = make_engine(url, role="test", pool_size=4)
    database = Database(engine)
    raw: asyncpg.Connection[Any] = await asyncpg.connect(url)
    try:
        yield Verbs(Tasks(engine), Claims(database), Consumers(database), Upkeep(database), raw)
    finally:
        await raw.close()
        await database.close()
