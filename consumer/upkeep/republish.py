"""Pending rows whose id is not on its way are pushed again: the one cure for every loss in Redis (U4).

Level-triggered: it looks at what is, never at what was once pushed. Changes no task.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from consumer.upkeep.promote import from_place, to_place
from core.events import Garbage, StepFailed, UpkeepDone
from db.ready import decode
from db.upkeep import BEGINNING, Place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.events import Report
    from core.task import ReadyList, TaskId
    from db.upkeep import LookedAt, Turn

STEP = "republish"
PERIOD = timedelta(seconds=2)
CHUNK = 5000
"""Enough for a fast consumer's quarter of a second."""
SHORT = 500
"""A list with fewer entries counts as running dry: what it lacks is pushed, and what it holds is pushed twice."""
SAMPLES = (100, 1000, 5000)
"""Entries at the old end that are looked at: more each time that all are stale."""
MAX_SLACK = timedelta(seconds=3)
_SOON = timedelta(milliseconds=30)


class ReadsPending(Protocol):
    """What republish needs of the store."""

    async def take_turn(self, step: str, period: timedelta) -> Turn | None: ...
    async def end_turn(self, step: str, cursor: dict[str, Any], again: timedelta | None = None) -> None: ...
    async def ready_lists(self) -> list[ReadyList]: ...
    async def ready_among(self, ready: ReadyList, ids: Sequence[TaskId]) -> dict[TaskId, datetime]: ...
    async def chunk(
        self, ready: ReadyList, after: Place, watermark: datetime | None, slack: timedelta, n: int
    ) -> list[LookedAt]: ...


class Lists(Protocol):
    """What republish needs of the ready lists."""

    async def length(self, ready: ReadyList) -> int: ...
    async def oldest(self, ready: ReadyList, n: int) -> list[bytes]: ...
    async def remove_oldest(self, ready: ReadyList, entries: Sequence[bytes]) -> bool: ...
    async def unlink(self, ready: ReadyList) -> None: ...
    async def push_oldest(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> None: ...


class Republish:
    """Walks each list's pending rows in laps, a chunk a turn. The cursors lie beside the turn's due time."""

    def __init__(self, *, store: ReadsPending, ready: Lists, lease: timedelta, report: Report) -> None:
        self._store = store
        self._ready = ready
        self._slack = min(MAX_SLACK, lease / 2)
        self._report = report

    async def step(self) -> timedelta:
        """Take the turn if it is due: one chunk of each list. In the middle of a refill the next turn follows soon."""
        turn = await self._store.take_turn(STEP, PERIOD)
        if turn is None:
            return PERIOD
        laps = self._laps(turn)
        after: dict[str, Any] = {}
        again = PERIOD
        for ready in await self._store.ready_lists():
            name = f"{ready.queue}:{ready.priority}"
            lap = await self._chunk(ready, laps.get(name), turn.now)
            if lap is not None:
                after[name] = lap.dump()
                again = min(again, lap.again)
        if after or turn.cursor:
            await self._store.end_turn(STEP, after, again if again < PERIOD else None)
        return again

    def _laps(self, turn: Turn) -> dict[str, Lap]:
        """The laps by list. One that cannot be read begins anew, and so does one from before a clock stepped back."""
        laps: dict[str, Lap] = {}
        for name, stored in turn.cursor.items():
            try:
                lap = Lap.load(stored)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as garbage:
                self._report(StepFailed(STEP, reason=f"the lap of {name[:100]!r} is none: {garbage!r}"))
                continue
            if max(lap.began, lap.place.run_at) <= turn.now:
                laps[name] = lap
        return laps

    async def _chunk(self, ready: ReadyList, lap: Lap | None, now: datetime) -> Lap | None:
        """Push the next chunk of one list; the lap as it goes on, None when it is over."""
        length, watermark = await self._watermark(ready)
        if lap is not None and length == 0 and now - lap.began >= self._slack:
            lap = None  # what it pushed is gone from the list again: from the beginning
        place = lap.place if lap else BEGINNING
        rows = await self._store.chunk(ready, place, watermark, self._slack, CHUNK)
        ids = [row.place.id for row in rows if row.served]
        if ids:
            await self._ready.push_oldest({ready: ids})
            self._report(UpkeepDone(len(ids), step=STEP))
        if rows:
            full = len(rows) == CHUNK
            began = lap.began if lap else now
            return Lap(rows[-1].place, began, full, length + len(ids), _SOON if full else PERIOD)
        if lap is None:
            return None
        if lap.refilling and watermark is not None:
            return lap.wait(length)
        over = replace(
            lap, refilling=False, again=PERIOD
        )  # the last chunk was full by chance: nothing is behind it
        return over if now - lap.began < self._slack else None

    async def _watermark(self, ready: ReadyList) -> tuple[int, datetime | None]:
        """How many entries are listed, and the run_at of the oldest one that is alive; None: everything up to now.

        The stale entries before it are removed; when the largest sample is stale the list is dropped: a hint may be.
        Not so when others pop there: they may have worked off a whole sample while its rows were read. When that
        happens with the largest too, nothing counts as lost this time.
        """
        length = await self._ready.length(ready)
        if length == 0:
            return 0, None
        untouched = False
        for size in SAMPLES:
            entries = await self._ready.oldest(ready, size)
            ids = {entry: task_id for entry in entries if (task_id := decode(entry)) is not None}
            alive = await self._store.ready_among(ready, list(ids.values()))
            stale = next((at for at, entry in enumerate(entries) if ids.get(entry) in alive), len(entries))
            if stale:
                untouched = await self._ready.remove_oldest(ready, entries[:stale])
                garbage = set(entries[:stale]) - ids.keys()
                if untouched and garbage:
                    self._report(Garbage(len(garbage), where=f"{ready.queue}:{ready.priority}"))
            if stale < len(entries):
                return length, None if length < SHORT else alive[ids[entries[stale]]]
        if not untouched:
            return length, BEGINNING.run_at
        await self._ready.unlink(ready)
        return 0, None


@dataclass(frozen=True, slots=True)
class Lap:
    """Where the walk of one list stands.

    `refilling`: the last chunk was full, so there is more behind the cursor; `length` and `again`: how many entries
    were listed then, and when to look again.
    """

    place: Place
    began: datetime
    refilling: bool
    length: int
    again: timedelta

    def wait(self, length: int) -> Lap:
        """Come back when the list is about to run short, as fast as it was seen to shrink."""
        drained = self.length - length
        again = self.again * ((length - SHORT) / drained) * 0.75 if drained > 0 else PERIOD
        return replace(self, length=length, again=min(max(again, _SOON), PERIOD))

    def dump(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            **from_place(self.place),
            "began": self.began.isoformat(),
            "refilling": self.refilling,
            "length": self.length,
            "again": self.again.total_seconds(),
        }

    @classmethod
    def load(cls, stored: dict[str, Any]) -> Lap:
        """As it was stored."""
        return cls(
            to_place(stored),
            datetime.fromisoformat(stored["began"]),
            bool(stored["refilling"]),
            int(stored["length"]),
            timedelta(seconds=stored["again"]),
        )
