"""Promote in its loop, over delayed rows that fall due by the loop's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from sluice.consumer.periodic import every
from sluice.consumer.upkeep.promote import Promote
from sluice.core.audience import Audiences, Signature
from sluice.core.errors import OutcomeUnknown
from sluice.core.task import Kind, QueueName, ReadyList, TaskId
from sluice.core.waiting import Stopping
from sluice.db.rows import Place
from sluice.db.upkeep import DueRow, Turn
from tests.unit.support import Events, now, task_id

START = datetime(2026, 1, 1, tzinfo=UTC)
QUEUE, KIND = QueueName("default"), Kind("test")
AUDIENCES = Audiences([Signature.of([QUEUE], [KIND])])
LIST = AUDIENCES.list_of(QUEUE, KIND, 5)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Store:
    """Delayed rows and the turn, by a clock of its own that may step. It is itself the ready lists."""

    def __init__(self) -> None:
        self.rows: dict[TaskId, float] = {}
        self.ahead = 0.0
        self.next_run_at = 0.0
        self.cursor: dict[str, Any] = {}
        self.turns = 0
        self.pushed: list[tuple[int, float]] = []
        self.away = False

    def now(self) -> float:
        """What its clock says: the loop's, and what it has stepped since."""
        return now() + self.ahead

    async def take_turn(self, step: str, period: timedelta) -> Turn | None:
        assert step == "promote"
        if self.now() < self.next_run_at <= self.now() + 2 * period.total_seconds():
            return None
        self.turns += 1
        self.next_run_at = self.now() + period.total_seconds()
        return Turn(self.cursor, at(self.now()))

    async def end_turn(self, step: str, cursor: dict[str, Any], again: timedelta | None = None) -> None:
        assert step == "promote"
        self.cursor = cursor
        if again is not None:
            self.next_run_at = min(self.next_run_at, self.now() + again.total_seconds())

    async def due(self, after: Place, n: int) -> list[DueRow]:
        places = sorted(Place(at(due), found) for found, due in self.rows.items() if due <= self.now())
        return [DueRow(place, QUEUE, KIND, 5) for place in places if place > after][:n]

    async def next_due_in(self) -> timedelta | None:
        waiting = [due - self.now() for due in self.rows.values() if due > self.now()]
        return timedelta(seconds=min(waiting)) if waiting else None

    async def push(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> None:
        assert LIST is not None
        if self.away:
            raise OutcomeUnknown("Redis", "gone")
        self.pushed += [(found.int, self.now()) for found in ids[LIST]]


class Scene:
    """Promote in its loop, over rows that fall due. It is itself the roster."""

    def __init__(self, **due: float) -> None:
        self.store, self.events, self.audiences = Store(), Events(), AUDIENCES
        self.stopping = Stopping()
        for name, moment in due.items():
            self.add(int(name.removeprefix("row")), moment)
        self.promote = self.another()

    def another(self) -> Promote:
        """A promote of some process."""
        return Promote(store=self.store, ready=self.store, roster=self, report=self.events)

    def add(self, number: int, due: float) -> None:
        self.store.rows[task_id(number)] = due

    async def run(self, until: float) -> None:
        asyncio.get_running_loop().call_later(until, self.stopping.request)
        await every(
            "promote",
            self.promote.step,
            stopping=self.stopping,
            report=self.events,
            random=Random(1),
        )

    @property
    def pushed(self) -> list[int]:
        return [number for number, _ in self.store.pushed]
