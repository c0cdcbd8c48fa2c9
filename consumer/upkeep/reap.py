"""The attempts of dead consumers go back to pending (U2 reap). Judges nobody unless it was well itself.

Who is silent, and for how long, each process sees for itself, on a clock that does not step: the database's may.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING, ClassVar, Protocol

from sluice.consumer.periodic import Rest
from sluice.consumer.upkeep.step import AT_ONCE, End, Step, Turns
from sluice.core.events import StepFailed, UpkeepDone
from sluice.core.halving import bisected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sluice.consumer.lease import Lease
    from sluice.core.errors import RowRefused
    from sluice.core.events import Report
    from sluice.core.task import ConsumerId, RunKey
    from sluice.db.upkeep import LastBeat, Reaped, Turn

CHUNK = 1000
_LONGEST_LEASE = 3600.0
_SHARE = 20
_NAMED = 10


class ReapsAttempts(Turns, Protocol):
    """What reap needs of the store."""

    async def beats(self) -> list[LastBeat]: ...
    async def declare_dead(self, silent: Sequence[LastBeat]) -> int: ...
    async def dead_attempts(self, n: int) -> list[RunKey]: ...
    async def reap(self, dead: Sequence[RunKey], spread: timedelta) -> list[Reaped]: ...


class Reap(Step):
    """Declares the silent dead, finds what they held, acts by id and token: statements apart (R3 no second look)."""

    name: ClassVar[str] = "reap"

    def __init__(self, *, store: ReapsAttempts, lease: Lease, report: Report) -> None:
        super().__init__(store, report)
        self._store = store
        self._lease = lease
        self._spread = timedelta(seconds=min(1.0, lease.duration / 2))
        self._seen: dict[tuple[ConsumerId, str], float] = {}
        self.period = timedelta(seconds=min(5.0, lease.duration / 2))
        self._rest = Rest(lease.clock)
        self._longest_rest = 2 * self.period.total_seconds()

    @property
    def attempts(self) -> timedelta:
        """How often the beats are read, and a turn is asked for."""
        return self.period / 2

    @property
    def next_due(self) -> timedelta:
        """In two periods at most: others take a turn that is due later, and blame a clock (U1 turns)."""
        return max(self.period, timedelta(seconds=self._rest.seconds))

    async def put_off(self) -> timedelta | None:
        """Declare the silent dead; put off what only those may do who were well for long."""
        silent = await self._silent()
        if not self._lease.unbroken:
            return self.attempts / 2
        if silent and await self._store.declare_dead(silent):
            await self._store.end_turn(self.name, {}, AT_ONCE)
        return None

    async def take(self, turn: Turn) -> End | None:  # noqa: ARG002 - every turn begins anew
        """Take back what the dead hold, a chunk at a time."""
        with self._rest.after_scan(lambda cost: min(cost * _SHARE, self._longest_rest)):
            dead = await self._store.dead_attempts(CHUNK)
        if not dead or not self._lease.unbroken:
            return None
        reaped = await self._reap(dead)
        self._tell(reaped)
        return End({}, AT_ONCE) if len(dead) == CHUNK and reaped else None

    async def _silent(self) -> list[LastBeat]:
        """Return who has not beaten for a lease of its own, all of it seen from here, while our own beats were good."""
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

    async def _reap(self, dead: Sequence[RunKey]) -> list[Reaped]:
        """Take these back; return those that there were. One that PostgreSQL refuses stays, alone."""

        def refused_alone(key: RunKey, refused: RowRefused) -> None:
            self._report(StepFailed(self.name, reason=f"task {key[0]} is refused: {refused.reason}"))

        parts = await bisected(dead, lambda some: self._store.reap(some, self._spread), refused_alone)
        return list(chain.from_iterable(parts))

    def _tell(self, reaped: Sequence[Reaped]) -> None:
        """Report whose attempts went back, and why, a consumer at a time."""
        by_consumer: dict[ConsumerId | None, list[Reaped]] = {}
        for each in reaped:
            by_consumer.setdefault(each.consumer, []).append(each)
        for consumer, some in by_consumer.items():
            self._report(
                UpkeepDone(
                    len(some),
                    step=self.name,
                    consumer=str(consumer),
                    why=_why(some[0]),
                    tasks=tuple(str(each.id) for each in some[:_NAMED]),
                    failed=sum(each.failed for each in some) or None,
                )
            )


def _why(reaped: Reaped) -> str:
    if reaped.silent is None:
        return "nobody has this id any more"
    return f"{reaped.host}, process {reaped.pid}, has not beaten for {reaped.silent:.0f} s"


def _lease_of(beat: LastBeat) -> float:
    """Return its lease, or the longest that there is for what no consumer can have written."""
    return beat.lease if 0 < beat.lease < _LONGEST_LEASE else _LONGEST_LEASE
