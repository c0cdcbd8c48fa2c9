"""The tries of dead consumers go back to pending (U2). Judges nobody unless this process itself was well all along.

Who is silent, and for how long, each process sees for itself, on a clock that does not step: the database's may.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from sluice.consumer.runs.refused import bisected
from sluice.consumer.rest import Rest
from sluice.core.events import StepFailed, UpkeepDone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sluice.consumer.lease import Lease
    from sluice.core.errors import RowRefused
    from sluice.core.events import Report
    from sluice.core.task import ConsumerId, RunKey
    from sluice.db.upkeep import LastBeat, Turn

STEP = "reap"
CHUNK = 1000
_LONGEST_LEASE = 3600.0
_SHARE = 20


class ReapsTries(Protocol):
    """What reap needs of the store."""

    async def take_turn(self, step: str, period: timedelta) -> Turn | None: ...
    async def end_turn(self, step: str, cursor: dict[str, Any], again: timedelta | None = None) -> None: ...
    async def beats(self) -> list[LastBeat]: ...
    async def declare_dead(self, silent: Sequence[LastBeat]) -> int: ...
    async def dead_tries(self, n: int) -> list[RunKey]: ...
    async def reap(self, dead: Sequence[RunKey], spread: timedelta) -> int: ...


class Reap:
    """Declares the silent dead, then looks for what they held, then acts by id and token (R3): statements apart."""

    def __init__(self, *, store: ReapsTries, lease: Lease, report: Report) -> None:
        self._store = store
        self._lease = lease
        self._report = report
        self._spread = timedelta(seconds=min(1.0, lease.duration / 2))
        self._seen: dict[tuple[ConsumerId, str], float] = {}
        self.period = timedelta(seconds=min(5.0, lease.duration / 2))
        self._rest = Rest(lease.clock)
        self._longest_rest = 2 * self.period.total_seconds()
        self.look = self.period / 2
        """How long a look at the beats may be behind them."""

    async def step(self) -> timedelta:
        """Look, and take the turn if it is due and this process may judge: after an outage nobody may at once."""
        silent = await self._silent()
        if not self._lease.unbroken:
            return self.look / 2
        if silent and await self._store.declare_dead(silent):
            await self._store.end_turn(STEP, {}, timedelta())  # the next one is due at once
        # Two periods at most: a turn that is due later than that is taken by others, who blame a clock (U1).
        turn = await self._store.take_turn(STEP, max(self.period, timedelta(seconds=self._rest.seconds)))
        if turn is None:
            return self.look
        with self._rest.after_look(lambda cost: min(cost * _SHARE, self._longest_rest)):
            dead = await self._store.dead_tries(CHUNK)
        if not dead or not self._lease.unbroken:
            return self.look
        reaped = await self._reap(dead)
        self._report(UpkeepDone(reaped, step=STEP))
        if len(dead) < CHUNK or not reaped:
            return self.look
        await self._store.end_turn(STEP, {}, timedelta())
        return timedelta()

    async def _silent(self) -> list[LastBeat]:
        """Who has not beaten for a lease of its own, all of it seen from here, while our own beats came through."""
        asked_at = self._lease.clock()
        beats = await self._store.beats()
        answered_at = self._lease.clock()
        seen, self._seen = self._seen, {}
        for beat in beats:
            self._seen[beat.consumer, beat.at] = seen.get((beat.consumer, beat.at), answered_at)
        well_since = answered_at - self._lease.well_for
        return [
            beat
            for beat in beats
            if asked_at - max(self._seen[beat.consumer, beat.at], well_since) >= _lease_of(beat)
        ]

    async def _reap(self, dead: Sequence[RunKey]) -> int:
        """Take these back; how many there were. One that PostgreSQL refuses stays, alone (U1)."""

        def refused_alone(key: RunKey, refused: RowRefused) -> None:
            self._report(StepFailed(STEP, reason=f"task {key[0]} is refused: {refused.reason}"))

        return sum(await bisected(dead, lambda some: self._store.reap(some, self._spread), refused_alone))


def _lease_of(beat: LastBeat) -> float:
    """Its lease, or the longest that there is for what no consumer can have written."""
    return beat.lease if 0 < beat.lease < _LONGEST_LEASE else _LONGEST_LEASE
