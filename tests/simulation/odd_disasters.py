"""What befalls the database while it is up and everybody reaches it: its clock steps, somebody keeps a row."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

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

    async def lock_a_row(self, seconds: float) -> None:
        """Somebody's transaction holds the row of a task that is open."""
        tables = self._world.store.tables
        found = [
            row.id
            for row in tables.tasks.values()
            if row.status in {"pending", "processing"} and not tables.locked(row.id)
        ]
        if not found:
            return
        chosen = self._random.choice(found)
        lock = tables.locks[chosen] = RowLock(FOR_EVER)
        self._world.note(f"somebody keeps {self._world.history.name(chosen)}")
        began = self._world.loop.time()
        self._world.row_locks.append((began, FOR_EVER, chosen))
        try:
            await asyncio.sleep(seconds)
        finally:
            lock.released.set()
            del tables.locks[chosen]
            self._world.row_locks.remove((began, FOR_EVER, chosen))
            self._world.row_locks.append((began, self._world.loop.time(), chosen))
