"""A claim and a cancel of one task, released together, many times: PostgreSQL must put each pair in one order."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from random import Random
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sluice.cli.embedded import Servers
from sluice.cli.migrate import upgrade
from sluice.core.errors import TransitionRefused
from sluice.core.ids import new_consumer_id, new_task_id
from sluice.core.task import Claim, Kind, NewTask, Status, Task, TaskId
from sluice.db.claims import Claims
from sluice.db.session import Database, make_engine
from sluice.db.tasks import Tasks

KIND = Kind("chaos.race")
AT_ONCE = 20
LEAST_SHARE = 0.05


class Raced(NamedTuple):
    """How the pairs came out. `broken` holds those whose two answers fit no order."""

    claimed_first: int
    canceled_first: int
    broken: list[str]

    @property
    def pairs(self) -> int:
        """All of them."""
        return self.claimed_first + self.canceled_first + len(self.broken)

    @property
    def fair(self) -> bool:
        """Whether every pair was in order, and both orders came up often enough for a race."""
        least = LEAST_SHARE * self.pairs
        return not self.broken and min(self.claimed_first, self.canceled_first) >= least

    def line(self) -> str:
        """For people."""
        return (
            f"{self.pairs} pairs of a claim and a cancel: {self.claimed_first} claimed first, "
            f"{self.canceled_first} canceled first, {len(self.broken)} in no order {self.broken[:3]}"
        )


async def perform(pairs: int, seed: int, directory: Path) -> Raced:
    """On a server of its own."""
    directory.mkdir(parents=True)
    directory.chmod(0o711)
    async with Servers(directory, ephemeral=True, valkey=False) as urls:
        await upgrade(urls.database_url)
        return await race(urls.database_url, pairs, Random(seed))


async def race(url: str, pairs: int, random: Random) -> Raced:
    """`pairs` of them on the database of this URL, some at a time, each statement on a connection of its own."""
    engine = make_engine(url, role="hammer", pool_size=2 * AT_ONCE)
    database = Database(engine)
    tasks, claims = Tasks(engine), Claims(database)
    orders: Counter[Status] = Counter()
    broken: list[str] = []

    async def pair(task_id: TaskId) -> tuple[list[Claim], Task | None]:
        """Both statements are on their way at once; which is sent first is drawn."""
        async with asyncio.TaskGroup() as group:
            if random.random() < 0.5:
                claim = group.create_task(_claim(claims, task_id))
                cancel = group.create_task(_cancel(tasks, task_id))
            else:
                cancel = group.create_task(_cancel(tasks, task_id))
                claim = group.create_task(_claim(claims, task_id))
        return claim.result(), cancel.result()

    try:
        for _ in range(pairs // AT_ONCE):
            new = [NewTask(id=new_task_id(), kind=KIND) for _ in range(AT_ONCE)]
            await tasks.submit(new)
            async with asyncio.TaskGroup() as group:
                racing = {task.id: group.create_task(pair(task.id)) for task in new}
            rows = await _rows(engine, list(racing))
            for task_id, answers in racing.items():
                order = order_of(*answers.result(), rows.get(task_id))
                if order is None:
                    broken.append(f"{task_id}: {answers.result()} {rows.get(task_id)}")
                else:
                    orders[order] += 1
    finally:
        await engine.dispose()
    return Raced(orders[Status.PROCESSING], orders[Status.PENDING], broken)


class Left(NamedTuple):
    """What the row says at last."""

    status: str
    token: int
    canceled_from: str | None


def order_of(claims: list[Claim], canceled: Task | None, row: Left | None) -> Status | None:
    """What the task was when the cancel came, as both answers and the row have it; None when they disagree."""
    if canceled is None or canceled.canceled_from is None or canceled.status is not Status.CANCELED:
        return None
    tokens = [claim.token for claim in claims]
    expected = {Status.PENDING: ([], 1), Status.PROCESSING: ([1], 2)}[canceled.canceled_from]
    said = Left(canceled.status, canceled.fencing_token, canceled.canceled_from)
    return canceled.canceled_from if (tokens, said.token) == expected and row == said else None


async def _rows(engine: AsyncEngine, ids: list[TaskId]) -> dict[TaskId, Left]:
    query = text(
        "SELECT id, status, fencing_token, canceled_from FROM tasks WHERE id = ANY (CAST(:ids AS uuid[]))"
    )
    async with engine.connect() as connection:
        return {row[0]: Left(*row[1:]) for row in await connection.execute(query, {"ids": ids})}


async def _claim(claims: Claims, task_id: TaskId) -> list[Claim]:
    return await claims.claim([task_id], consumer=new_consumer_id(), kinds=[KIND])


async def _cancel(tasks: Tasks, task_id: TaskId) -> Task | None:
    try:
        canceled, _ = await tasks.cancel(task_id)
    except TransitionRefused:
        return None
    return canceled
