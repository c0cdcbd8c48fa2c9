"""Tasks that ended long ago are removed, and consumers that have long been dead (U5)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from core.events import UpkeepDone

if TYPE_CHECKING:
    from core.events import Report
    from db.upkeep import Turn

STEP = "prune"
PERIOD = timedelta(minutes=1)
CHUNK = 5000


class Prunes(Protocol):
    """What prune needs of the store."""

    async def take_turn(self, step: str, period: timedelta) -> Turn | None: ...
    async def end_turn(self, step: str, cursor: dict[str, Any], again: timedelta | None = None) -> None: ...
    async def prune(self, age: timedelta, n: int) -> int: ...
    async def prune_consumers(self) -> int: ...


class Prune:
    """A chunk a turn, and the next at once while there is more. `retention` None keeps every task."""

    def __init__(self, *, store: Prunes, retention: timedelta | None, report: Report) -> None:
        self._store = store
        self._retention = retention
        self._report = report

    async def step(self) -> timedelta:
        """Take the turn if it is due."""
        if await self._store.take_turn(STEP, PERIOD) is None:
            return PERIOD
        await self._store.prune_consumers()
        if self._retention is None:
            return PERIOD
        pruned = await self._store.prune(self._retention, CHUNK)
        if pruned:
            self._report(UpkeepDone(pruned, step=STEP))
        if pruned < CHUNK:
            return PERIOD
        await self._store.end_turn(STEP, {}, timedelta())
        return timedelta()
