"""Reap over a store of its own, under a lease whose beats were good for a whole one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sluice.consumer.lease import Lease
from sluice.consumer.upkeep.reap import Reap
from sluice.core.task import ConsumerId, FencingToken, RunKey
from sluice.db.upkeep import LastBeat, Reaped, Turn
from tests.unit.support import Clock, Events, task_id

DEAD = ConsumerId(UUID(int=9))


class Scene:
    """Reap under a lease of 30 seconds whose beats were good for a whole one. It is itself the store."""

    def __init__(self, *, dead: int = 0, seconds: float = 30) -> None:
        self.clock, self.events = Clock(), Events()
        self.lease = Lease(timedelta(seconds=seconds), self.clock)
        for _ in range(5):
            self.beat()
        self.dead = [(task_id(number), FencingToken(1)) for number in range(dead)]
        self.consumers: list[LastBeat] = []
        self.declared: list[LastBeat] = []
        self.turn = True
        self.turns = self.ended = 0
        self.period = timedelta()
        self.reaped: list[RunKey] = []
        self.spread: timedelta | None = None
        self.during_the_scan: Callable[[], None] = lambda: None
        self.reap_step = Reap(store=self, lease=self.lease, report=self.events)

    def beat(self) -> None:
        self.lease.renewed(self.clock())
        self.clock.move(self.lease.duration / 4)

    async def take_turn(self, step: str, period: timedelta) -> Turn | None:
        assert step == "reap"
        assert period >= self.reap_step.period
        self.turns, self.period = self.turns + 1, period
        return Turn({}, datetime.now(UTC)) if self.turn else None

    async def end_turn(self, step: str, cursor: dict[str, Any], again: timedelta | None = None) -> None:
        assert (step, cursor, again) == ("reap", {}, timedelta())
        self.ended += 1

    async def beats(self) -> list[LastBeat]:
        return self.consumers

    async def declare_dead(self, silent: Sequence[LastBeat]) -> int:
        self.declared += silent
        self.consumers = [beat for beat in self.consumers if beat not in silent]
        return len(silent)

    async def pass_by(self, seconds: float, *others: LastBeat) -> None:
        """Time passes in good beats, and others beat too; looks follow each other as often as they do."""
        end = self.clock() + seconds
        while self.clock() < end:
            self.lease.renewed(self.clock())
            for beat in others:
                self.consumers = [one for one in self.consumers if one.consumer != beat.consumer]
                self.consumers.append(LastBeat(beat.consumer, str(self.clock()), beat.lease))
            await self.reap_step.step()
            self.clock.move(min(self.reap_step.attempts.total_seconds(), end - self.clock()))

    async def dead_attempts(self, n: int) -> list[RunKey]:
        self.during_the_scan()
        return self.dead[:n]

    async def reap(self, dead: Sequence[RunKey], spread: timedelta) -> list[Reaped]:
        self.reaped += dead
        self.spread = spread
        return reaped(dead[1:])  # one of them was moved since the look


def reaped(dead: Sequence[RunKey]) -> list[Reaped]:
    """What the store says of these; the last was once too often."""
    return [
        Reaped(task_id, DEAD, "host", 7, 31.4, failed=number == len(dead) - 1)
        for number, (task_id, _) in enumerate(dead)
    ]
