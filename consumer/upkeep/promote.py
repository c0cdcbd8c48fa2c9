"""Delayed ids whose time has come go to their lists (U3). Changes no task."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from sluice.core.events import StepFailed, UpkeepDone
from sluice.core.task import TaskId
from sluice.db.rows import Place
from sluice.db.upkeep import BEGINNING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sluice.core.audience import Audiences
    from sluice.core.events import Report
    from sluice.core.task import ReadyList
    from sluice.db.upkeep import DueRow, Turn

STEP = "promote"
PERIOD = timedelta(seconds=1)
CHUNK = 2000
_NO_SOONER = timedelta(milliseconds=5)


class ReadsDelayed(Protocol):
    """What promote needs of the store."""

    async def take_turn(self, step: str, period: timedelta) -> Turn | None: ...
    async def end_turn(self, step: str, cursor: dict[str, Any], again: timedelta | None = None) -> None: ...
    async def due(self, after: Place, n: int) -> list[DueRow]: ...
    async def next_due_in(self) -> timedelta | None: ...


class Pushes(Protocol):
    """Where due ids go."""

    async def push(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> None: ...


class Promote:
    """Never sleeps more than a second, and wakes for the next row that it has seen."""

    def __init__(
        self, *, store: ReadsDelayed, ready: Pushes, audiences: Callable[[], Audiences], report: Report
    ) -> None:
        self._store = store
        self._ready = ready
        self._audiences = audiences
        self._report = report

    async def step(self) -> timedelta:
        """Take the turn if it is due: push what fell due since the cursor, and move the cursor.

        A row that is committed less than a second before it is due, or later, may lie behind the cursor: whoever
        committed it pushes it. What neither does, a scan finds (U4).
        """
        turn = await self._store.take_turn(STEP, PERIOD)
        if turn is None:
            return PERIOD
        place = self._place(turn)
        rows = await self._store.due(place, CHUNK)
        if rows:
            await self._push(rows)
            place = rows[-1].place
        full = len(rows) == CHUNK
        again = timedelta() if full else min(await self._store.next_due_in() or PERIOD, PERIOD)
        again = max(again, _NO_SOONER)
        if rows or again < PERIOD:
            await self._store.end_turn(STEP, from_place(place), again)
        return again

    def _place(self, turn: Turn) -> Place:
        """Where the last turn stopped. A clock that stepped back, or a cursor that is none, begins anew (U1)."""
        try:
            place = to_place(turn.cursor)
        except ValueError as garbage:
            self._report(StepFailed(STEP, reason=f"from the beginning: {garbage}"))
            return BEGINNING
        return place if place.run_at <= turn.now else BEGINNING

    async def _push(self, rows: list[DueRow]) -> None:
        audiences = self._audiences()
        lists: dict[ReadyList, list[TaskId]] = defaultdict(list)
        for row in rows:
            ready = audiences.list_of(row.queue, row.kind, row.priority)
            if ready is not None:
                lists[ready].append(row.place.id)
        await self._ready.push(lists)
        self._report(UpkeepDone(sum(map(len, lists.values())), step=STEP))


def to_place(cursor: dict[str, Any]) -> Place:
    """Where a stored cursor points. Raises ValueError when that is nowhere."""
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
    """A place as it is stored."""
    return {"run_at": place.run_at.isoformat(), "id": str(place.id)}
