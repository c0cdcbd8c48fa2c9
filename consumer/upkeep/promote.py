"""Delayed ids whose time has come go to their lists (U3). Changes no task."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from core.events import StepFailed, UpkeepDone
from core.task import ReadyList, TaskId
from db.upkeep import BEGINNING, DueRow, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from core.events import Report
    from db.upkeep import Turn

STEP = "promote"
PERIOD = timedelta(seconds=1)
CHUNK = 2000
LATE_COMMITS = timedelta(seconds=2)
"""A row may become visible this much later than its run_at says: a batch's transaction takes no longer."""
_NO_SOONER = timedelta(milliseconds=5)
_NOT_EARLY = 0.002
"""Seconds: a loop's clock may stand a millisecond off, and a turn that is asked for too early is a turn lost."""


class ReadsDelayed(Protocol):
    """What promote needs of the store."""

    async def take_turn(self, step: str, period: timedelta) -> Turn | None: ...
    async def end_turn(self, step: str, cursor: dict[str, Any], again: timedelta | None = None) -> None: ...
    async def bring_forward(self, step: str, within: timedelta) -> None: ...
    async def due(self, after: Place, n: int) -> list[DueRow]: ...
    async def next_due_in(self) -> timedelta | None: ...


class Pushes(Protocol):
    """Where due ids go."""

    async def push(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> None: ...


class Promote:
    """Never sleeps more than a second, and is woken by an earlier row."""

    def __init__(
        self, *, store: ReadsDelayed, ready: Pushes, wake: Callable[[], None], report: Report
    ) -> None:
        self._store = store
        self._ready = ready
        self._wake = wake
        self._report = report
        self._pushed: dict[TaskId, datetime] = {}
        self._hurry: timedelta | None = None
        self._looks_at = float("-inf")

    def hurry(self, due_in: timedelta) -> None:
        """A row was committed that is due in `due_in`."""
        self._hurry = due_in if self._hurry is None else min(self._hurry, due_in)
        self._wake()

    async def step(self) -> timedelta:
        """Take the turn if it is due: push what fell due since the cursor, move the cursor after the push.

        News of a later row puts no look off: where many are told of, there would be none until they cease.
        """
        if self._hurry is not None:
            within, self._hurry = max(self._hurry, _NO_SOONER), None
            await self._store.bring_forward(STEP, within)
            self._looks_at = min(self._looks_at, _after(within))
            if (left := self._looks_at - _now()) > 0:
                return timedelta(seconds=left)
        again = await self._turn()
        self._looks_at = _after(again)
        return again

    async def _turn(self) -> timedelta:
        turn = await self._store.take_turn(STEP, PERIOD)
        if turn is None:
            return PERIOD
        place = self._place(turn)
        rows = await self._store.due(place, CHUNK)
        full = len(rows) == CHUNK
        end = rows[-1].place if rows else place
        if not full and place != BEGINNING:
            late = await self._store.due(Place(place.run_at - LATE_COMMITS, TaskId(UUID(int=0))), CHUNK)
            rows += [row for row in late if row.place <= place and row.place.id not in self._pushed]
        if rows:
            await self._push(rows)
            self._remember(rows, end)
        again = timedelta() if full else min(await self._store.next_due_in() or PERIOD, PERIOD)
        again = max(again, _NO_SOONER)
        if end != place or again < PERIOD:
            await self._store.end_turn(STEP, from_place(end), again)
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
        lists: dict[ReadyList, list[TaskId]] = defaultdict(list)
        for row in rows:
            lists[row.list].append(row.place.id)
        await self._ready.push(lists)
        self._report(UpkeepDone(len(rows), step=STEP))

    def _remember(self, rows: list[DueRow], end: Place) -> None:
        """What was just pushed, for as long as the next turns look back."""
        self._pushed.update((row.place.id, row.place.run_at) for row in rows)
        horizon = end.run_at - 2 * LATE_COMMITS
        self._pushed = {task_id: run_at for task_id, run_at in self._pushed.items() if run_at >= horizon}


def _now() -> float:
    return asyncio.get_running_loop().time()


def _after(pause: timedelta) -> float:
    return _now() + pause.total_seconds() + _NOT_EARLY


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
