"""Outcomes whose rows somebody else holds locked, apart from those that can be written. Writes nothing itself."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sluice.core.outcome import Write
    from sluice.core.task import RunKey, TaskId

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0
"""Seconds from one check of a locked row to the next. A check costs one statement for all that are due."""


class _Waiting(NamedTuple):
    writes: Sequence[Write]
    checked_at: float


class LockedRows:
    """What waits for the locks of others, each for a pause that grows until it is written, on its loop's time."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._pauses: dict[RunKey, float] = {}

    def __len__(self) -> int:
        """Return how many outcomes wait."""
        return sum(len(waiting.writes) for waiting in self._waiting)

    def keys(self) -> set[RunKey]:
        """Return their runs."""
        return {(write.id, write.token) for waiting in self._waiting for write in waiting.writes}

    def put(self, writes: Sequence[Write]) -> None:
        """Set these apart, those that were before for longer."""
        by_pause: dict[float, list[Write]] = defaultdict(list)
        for write in writes:
            key = (write.id, write.token)
            pause = self._pauses[key] = min(self._pauses.get(key, _FIRST_PAUSE / 2) * 2, _LONGEST_PAUSE)
            by_pause[pause].append(write)
        now = asyncio.get_running_loop().time()
        self._waiting += [_Waiting(together, now + pause) for pause, together in by_pause.items()]

    def written(self, writes: Sequence[Write]) -> None:
        """Forget how long these had to wait."""
        if self._pauses:
            for write in writes:
                self._pauses.pop((write.id, write.token), None)

    def due_in(self) -> float | None:
        """Return the seconds until some are to be checked again; None when none wait."""
        if not self._waiting:
            return None
        soonest = min(waiting.checked_at for waiting in self._waiting)
        return max(0.0, soonest - asyncio.get_running_loop().time())

    def due(self) -> list[TaskId]:
        """Return the rows to check now."""
        return [write.id for waiting in self._due() for write in waiting.writes]

    def part(self, locked: Collection[TaskId]) -> list[Write]:
        """Hand out those of the due ones that are not locked any more; the others wait for longer."""
        due = self._due()
        self._waiting = [waiting for waiting in self._waiting if waiting not in due]
        writes = [write for waiting in due for write in waiting.writes]
        self.put([write for write in writes if write.id in locked])
        return [write for write in writes if write.id not in locked]

    def _due(self) -> list[_Waiting]:
        now = asyncio.get_running_loop().time()
        return [waiting for waiting in self._waiting if waiting.checked_at <= now]
