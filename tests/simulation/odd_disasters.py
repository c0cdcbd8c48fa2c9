"""What befalls the database while it is up and everybody reaches it: its clock steps, somebody keeps a row."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from sluice.core.task import TaskId
from tests.simulation.store_tables import RowLock

if TYPE_CHECKING:
    from tests.simulation.world import World

STEP = timedelta(seconds=60)
FOR_EVER = float("inf")


class OddDisasters:
    """Strikes the world's store; what it did is noted in the world, for the checker."""

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random

    async def step(self, ahead: timedelta, seconds: float) -> None:
        """The clock steps, and after a while as far the other way."""
        self._step(ahead)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._step(-ahead)

    def _step(self, ahead: timedelta) -> None:
        self._world.store.tables.stepped += ahead
        self._world.note(f"the database's clock steps by {ahead.total_seconds():+.0f} s")
        if ahead > timedelta():
            self._world.steps_ahead.append(self._world.loop.time())

    async def lock_rows(self, seconds: float) -> None:
        """Somebody's transaction holds rows of open tasks: of half of those at work, if there are any."""
        tables, world = self._world.store.tables, self._world
        by_status: dict[str, list[TaskId]] = {"processing": [], "pending": []}
        for row in tables.tasks.values():
            if row.status in by_status and not tables.locked(row.id):
                by_status[row.status].append(row.id)
        found = by_status["processing"] or by_status["pending"][:1]
        chosen = self._random.sample(found, (len(found) + 1) // 2)
        began = world.loop.time()
        kept = [(task_id, RowLock(FOR_EVER)) for task_id in chosen]
        for task_id, lock in kept:
            tables.locks[task_id] = lock
            world.note(f"somebody keeps {world.history.name(task_id)}")
            world.row_locks.append((began, FOR_EVER, task_id))
        try:
            await asyncio.sleep(seconds)
        finally:
            for task_id, lock in kept:
                tables.unlock(task_id, lock)
                world.row_locks.remove((began, FOR_EVER, task_id))
                world.row_locks.append((began, world.loop.time(), task_id))
