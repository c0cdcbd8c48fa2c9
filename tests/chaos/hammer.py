"""A claim and a cancel of one task, released together, many times: PostgreSQL must put each pair in one order."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import NamedTuple

from cli.embedded import Servers
from cli.migrate import upgrade
from core.errors import TransitionRefused
from core.ids import new_consumer_id, new_task_id
from core.task import Claim, Kind, NewTask, Status, Task, TaskId
from db.claims import Claims
from db.session import Database, make_engine
from db.tasks import Tasks

KIND = Kind("chaos.race")
AT_ONCE = 8
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
    tasks, claims = Tasks(database), Claims(database)
    outcome = Raced(0, 0, [])
    try:
        left = pairs
        while left:
            new = [NewTask(id=new_task_id(), kind=KIND) for _ in range(min(left, 500))]
            await tasks.submit(new)
            for at in range(0, len(new), AT_ONCE):
                outcome = await _volley(
                    tasks, claims, [task.id for task in new[at : at + AT_ONCE]], random, outcome
                )
            left -= len(new)
    finally:
        await engine.dispose()
    return outcome


async def _volley(tasks: Tasks, claims: Claims, ids: list[TaskId], random: Random, so_far: Raced) -> Raced:
    """Both statements of each pair are on their way at once; which is sent first is drawn."""
    answers: dict[TaskId, tuple[list[Claim], Task | None]] = {}

    async def pair(task_id: TaskId) -> None:
        async with asyncio.TaskGroup() as group:
            if random.random() < 0.5:
                claim = group.create_task(_claim(claims, task_id))
                cancel = group.create_task(_cancel(tasks, task_id))
            else:
                cancel = group.create_task(_cancel(tasks, task_id))
                claim = group.create_task(_claim(claims, task_id))
        answers[task_id] = claim.result(), cancel.result()

    async with asyncio.TaskGroup() as group:
        for task_id in ids:
            group.create_task(pair(task_id))
    claimed, canceled, broken = so_far
    for task_id, (claim, cancel) in answers.items():
        order = order_of(claim, cancel, await tasks.get(task_id))
        if order is None:
            broken = [*broken, f"{task_id}: {claim} {cancel}"]
        elif order is Status.PROCESSING:
            claimed += 1
        else:
            canceled += 1
    return Raced(claimed, canceled, broken)


def order_of(claims: list[Claim], canceled: Task | None, row: Task) -> Status | None:
    """What the task was when the cancel came, as both answers and the row have it; None when they disagree."""
    if canceled is None or canceled.status is not Status.CANCELED or row != canceled:
        return None
    if canceled.canceled_from is Status.PENDING:
        return Status.PENDING if not claims and canceled.fencing_token == 1 else None
    if canceled.canceled_from is Status.PROCESSING:
        mine = [claim.token for claim in claims] == [1]
        return Status.PROCESSING if mine and canceled.fencing_token == 2 else None
    return None


async def _claim(claims: Claims, task_id: TaskId) -> list[Claim]:
    return await claims.claim([task_id], consumer=new_consumer_id(), kinds=[KIND])


async def _cancel(tasks: Tasks, task_id: TaskId) -> Task | None:
    try:
        canceled, _ = await tasks.cancel(task_id)
    except TransitionRefused:
        return None
    return canceled
