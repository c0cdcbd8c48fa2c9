"""Delayed ids whose time has come go to their lists (U3 promote). Changes no task."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from uuid import UUID

from sluice.consumer.upkeep.step import AT_ONCE, End, Step, Turns
from sluice.core.events import StepFailed, UpkeepDone
from sluice.core.task import TaskId
from sluice.db.rows import Place
from sluice.db.upkeep import BEGINNING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sluice.core.audience import Audiences
    from sluice.core.events import Report
    from sluice.core.task import ReadyList
    from sluice.db.upkeep import DueRow, Turn

CHUNK = 2000
_NO_SOONER = timedelta(milliseconds=5)


class ReadsDelayed(Turns, Protocol):
    """What promote needs of the store."""

    async def due(self, after: Place, n: int) -> list[DueRow]: ...
    async def next_due_in(self) -> timedelta | None: ...


class Pushes(Protocol):
    """Where due ids go."""

    async def push(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> None: ...


class KnowsAudiences(Protocol):
    """Who knows which consumers are alive."""

    @property
    def audiences(self) -> Audiences: ...


class Promote(Step):
    """Never sleeps more than a second, and wakes for the next row that it has seen."""

    name: ClassVar[str] = "promote"
    period = timedelta(seconds=1)
    needs_redis: ClassVar[bool] = True

    def __init__(self, *, store: ReadsDelayed, ready: Pushes, roster: KnowsAudiences, report: Report) -> None:
        super().__init__(store, report)
        self._store = store
        self._ready = ready
        self._roster = roster

    async def take(self, turn: Turn) -> End | None:
        """Push what fell due since the cursor, and move the cursor.

        A row that is committed less than a second before it is due, or later, may lie behind the cursor: whoever
        committed it pushes it. What neither does, a scan finds (U4 scan).
        """
        place = self._place(turn)
        rows = await self._store.due(place, CHUNK)
        if rows:
            await self._push(rows)
            place = rows[-1].place
        full = len(rows) == CHUNK
        again = AT_ONCE if full else min(await self._store.next_due_in() or self.period, self.period)
        again = max(again, _NO_SOONER)
        return End(from_place(place), again) if rows or again < self.period else None

    def _place(self, turn: Turn) -> Place:
        """Return where the last turn stopped. A clock that stepped back, or a cursor that is none, begins anew."""
        try:
            place = to_place(turn.cursor)
        except ValueError as garbage:
            self._report(StepFailed(self.name, reason=f"from the beginning: {garbage}"))
            return BEGINNING
        return place if place.run_at <= turn.now else BEGINNING

    async def _push(self, rows: list[DueRow]) -> None:
        audiences = self._roster.audiences
        lists: dict[ReadyList, list[TaskId]] = defaultdict(list)
        for row in rows:
            ready = audiences.list_of(row.queue, row.kind, row.priority)
            if ready is None:
                audiences.unserved.miss(row.queue, row.kind)
            else:
                lists[ready].append(row.place.id)
        if lists:
            await self._ready.push(lists)
            self._report(UpkeepDone(sum(map(len, lists.values())), step=self.name))


def to_place(cursor: dict[str, Any]) -> Place:
    """Return where a stored cursor points. Raises ValueError when that is nowhere."""
    if not cursor:
        return BEGINNING
    try:
        place = Place(datetime.fromisoformat(cursor["run_at"]), TaskId(UUID(cursor["id"])))
        if place.run_at < BEGINNING.run_at:
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ValueError("the cursor is none") from None
    return place


def from_place(place: Place) -> dict[str, Any]:
    """Return a place as it is stored."""
    return {"run_at": place.run_at.isoformat(), "id": str(place.id)}
