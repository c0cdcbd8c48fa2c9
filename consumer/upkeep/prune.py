"""Tasks that ended long ago are removed, and consumers that have long been dead (U5 prune)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from sluice.consumer.upkeep.step import AT_ONCE, End, Step, Turns
from sluice.core.errors import RowRefused, StoreUnavailable
from sluice.core.events import StepFailed, UpkeepDone
from sluice.db.upkeep import Ended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sluice.core.events import Report
    from sluice.core.task import TaskId
    from sluice.db.upkeep import Old, Turn

CHUNK = 5000
BYTES = 32 << 20
"""How much one statement removes: a result lies in pieces of 2 KB, and each is a row to delete."""
LAP = timedelta(hours=1)
"""How long what could not be removed is left alone."""
REFUSALS = 100
"""How many refused statements a turn may take. The next goes on where it stopped."""
_PLACE = re.compile(r"\([0-9]{1,10},[0-9]{1,5}\)")
_PARTS = range(1 << 32)
_INSTANT = re.compile(r"-?infinity|[0-9]{4,6}-[0-9 :.+-]{1,40}( BC)?")


class Prunes(Turns, Protocol):
    """What prune needs of the store."""

    async def ended(self, age: timedelta, after: Ended, n: int) -> list[Old]: ...
    async def prune(self, ids: Sequence[TaskId], age: timedelta) -> int: ...
    async def prune_consumers(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Walk:
    """Where the walk stands: what it has passed, for how many rows a statement is, and when this lap began.

    What PostgreSQL refuses to remove, such as for a foreign key of the user's, is passed over until the next lap.
    """

    after: Ended
    size: int
    began: datetime

    @classmethod
    def of(cls, turn: Turn) -> Walk:
        """Return the walk that the last turn left, or a new lap: of a cursor that is none, too."""
        fresh = cls(Ended(), CHUNK, turn.now)
        try:
            after = Ended(turn.cursor["finished_at"], turn.cursor["place"], int(turn.cursor["part"]))
            walk = cls(after, int(turn.cursor["size"]), datetime.fromisoformat(turn.cursor["began"]))
            sound = (
                _INSTANT.fullmatch(after.finished_at)
                and _PLACE.fullmatch(after.place)
                and after.part in _PARTS
            )
            if not sound or not timedelta() <= turn.now - walk.began < LAP:
                return fresh
        except (KeyError, TypeError, ValueError, AttributeError):
            return fresh
        return replace(walk, size=min(max(walk.size, 1), CHUNK))

    def stored(self) -> dict[str, Any]:
        """Return it as a cursor."""
        return {
            "finished_at": self.after.finished_at,
            "place": self.after.place,
            "part": self.after.part,
            "size": self.size,
            "began": self.began.isoformat(),
        }


class Prune(Step):
    """A chunk a turn, and the next at once while there is more. `retention` None keeps every task."""

    name: ClassVar[str] = "prune"
    period = timedelta(minutes=1)

    def __init__(self, *, store: Prunes, retention: timedelta | None, report: Report) -> None:
        super().__init__(store, report)
        self._store = store
        self._retention = retention

    async def take(self, turn: Turn) -> End | None:
        """Remove a chunk of what ended long ago, and consumers that have long been dead."""
        await self._store.prune_consumers()
        if self._retention is None:
            return None
        walk = Walk.of(turn)
        looked = min(CHUNK, walk.size * REFUSALS)
        old = await self._store.ended(self._retention, walk.after, looked)
        if not old:
            return None
        chunk = _Chunk(self._store, self._retention, walk)
        rest = await chunk.remove(old)
        if chunk.pruned:
            self._report(UpkeepDone(chunk.pruned, step=self.name))
        if chunk.refused:
            self._report(StepFailed(self.name, reason=chunk.complaint))
        more = bool(rest) or len(old) == looked
        return End(chunk.walk.stored(), AT_ONCE if more else None)


class _Chunk:
    """What one turn removes, by statements that grow where they succeed and are halved where they do not."""

    def __init__(self, store: Prunes, retention: timedelta, walk: Walk) -> None:
        self._store = store
        self._retention = retention
        self.walk = walk
        self.pruned = 0
        self.refused: list[TaskId] = []
        self._reason = ""

    @property
    def complaint(self) -> str:
        """What there is to say of the refused ones."""
        return f"{len(self.refused)} tasks cannot be removed, such as {self.refused[0]}: {self._reason}"

    async def remove(self, old: Sequence[Old]) -> Sequence[Old]:
        """Remove these; those that are left when too much was refused."""
        refusals = 0
        while old and refusals < REFUSALS:
            batch = _light(old[: self.walk.size])
            try:
                self.pruned += await self._store.prune([row.id for row in batch], self._retention)
            except (RowRefused, StoreUnavailable) as why:
                refusals += 1
                self._reason = why.reason
                self.walk = replace(self.walk, size=max(len(batch) // 2, 1))
                if len(batch) == 1:
                    self.refused.append(batch[0].id)
                    self._pass(batch)
                    old = old[1:]
                if isinstance(why, StoreUnavailable):
                    break  # that may have taken seconds, and other steps wait for their turns
            else:
                self.walk = replace(self.walk, size=min(self.walk.size * 2, CHUNK))
                self._pass(batch)
                old = old[len(batch) :]
        return old

    def _pass(self, batch: Sequence[Old]) -> None:
        self.walk = replace(self.walk, after=batch[-1].ended)


def _light(old: Sequence[Old]) -> Sequence[Old]:
    """Return as many of the first ones as one statement may remove, and one at least."""
    total = 0
    for at, row in enumerate(old):
        total += row.bytes
        if total > BYTES:
            return old[: max(at, 1)]
    return old
