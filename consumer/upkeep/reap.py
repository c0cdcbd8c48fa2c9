"""The tries of dead consumers go back to pending (U2). Judges nobody unless this process itself was well all along."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from core.errors import RowRefused
from core.events import StepFailed, UpkeepDone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumer.lease import Lease
    from core.events import Report
    from core.task import RunKey
    from db.upkeep import Turn

STEP = "reap"
CHUNK = 1000


class ReapsTries(Protocol):
    """What reap needs of the store."""

    async def take_turn(self, step: str, period: timedelta) -> Turn | None: ...
    async def end_turn(self, step: str, cursor: dict[str, Any], again: timedelta | None = None) -> None: ...
    async def dead_tries(self, n: int) -> list[RunKey]: ...
    async def reap(self, dead: Sequence[RunKey], spread: timedelta) -> int: ...


class Reap:
    """Looks in one statement, acts in a second by id and token (R3)."""

    def __init__(self, *, store: ReapsTries, lease: Lease, report: Report) -> None:
        self._store = store
        self._lease = lease
        self._report = report
        self._spread = timedelta(seconds=min(1.0, lease.duration / 2))
        self.period = timedelta(seconds=min(5.0, lease.duration / 2))

    async def step(self) -> timedelta:
        """Take the turn if it is due and if this process may judge: after a PostgreSQL outage nobody may at once."""
        if not self._lease.unbroken:
            return self.period / 4
        turn = await self._store.take_turn(STEP, self.period)
        if turn is None:
            return self.period
        dead = await self._store.dead_tries(CHUNK)
        if not dead or not self._lease.unbroken:
            return self.period
        reaped = await self._reap(dead)
        self._report(UpkeepDone(reaped, step=STEP))
        if len(dead) < CHUNK or not reaped:
            return self.period
        await self._store.end_turn(STEP, {}, timedelta())
        return timedelta()

    async def _reap(self, dead: Sequence[RunKey]) -> int:
        """Take these back; halved when PostgreSQL refuses a row, so that it stays alone (U1)."""
        try:
            return await self._store.reap(dead, self._spread)
        except RowRefused as refused:
            if len(dead) == 1:
                self._report(StepFailed(STEP, reason=f"task {dead[0][0]} is refused: {refused.reason}"))
                return 0
        middle = len(dead) // 2
        return await self._reap(dead[:middle]) + await self._reap(dead[middle:])
