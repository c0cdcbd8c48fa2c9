"""How many tasks wait in each queue: counted in turn, as many a look as its budget allows. Lists no task.

Clients choose the names of queues, and one that holds ten thousand takes a millisecond to count: a look that counted
all of them would take as long as clients please.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from core.task import QueueName
    from db.browse import Depth

MOST_NAMED = 1000
BUDGET = timedelta(milliseconds=40)
_AT_ONCE = 16
"""Queues that one statement counts: of the deepest they take half of the budget."""
_NAMES_AT_ONCE = 2000


class CountsQueues(Protocol):
    """What is needed of the rows."""

    async def queues(self, after: str, n: int) -> list[QueueName]: ...
    async def depths(self, queues: Sequence[QueueName]) -> dict[QueueName, Depth]: ...


@dataclass(frozen=True, slots=True)
class Counted:
    """A queue as it is shown: None until it was counted for the first time."""

    depth: int | None
    counted_at: datetime | None


_NEVER = Counted(None, None)


class Depths:
    """What is known of the queues; each look adds to it."""

    def __init__(self, counts: CountsQueues) -> None:
        self._counts = counts
        self._counted: dict[QueueName, Counted] = {}
        self._holding: set[QueueName] = set()
        self._lap: set[QueueName] = set()
        self._after = ""
        self._served: list[QueueName] = []

    async def look(self, served: Iterable[QueueName]) -> None:
        """Count for as long as the budget lasts, those first whose count is the oldest. Raises StoreUnavailable."""
        ends = time.monotonic() + BUDGET.total_seconds()
        self._served = sorted(set(served))
        await self._find_names()
        names = self._named()
        self._counted = {name: self._counted.pop(name) for name in (*self._counted,) if name in names}
        waiting = [name for name in names if name not in self._counted] + list(self._counted)
        for at in range(0, len(waiting), _AT_ONCE):
            for name, depth in (await self._counts.depths(waiting[at : at + _AT_ONCE])).items():
                self._counted.pop(name, None)  # the newest counts stand last
                self._counted[name] = Counted(depth.depth, depth.counted_at)
            if time.monotonic() >= ends:
                break

    def shown(self) -> dict[str, Counted]:
        """Up to MOST_NAMED queues by name, those that a live consumer serves before others."""
        return {name: self._counted.get(name, _NEVER) for name in sorted(self._named())}

    @property
    def unnamed(self) -> int:
        """How many queues there are beside those that are shown."""
        return max(0, len(self._holding.union(self._served)) - MOST_NAMED)

    def _named(self) -> dict[QueueName, None]:
        others = sorted(self._holding.difference(self._served))
        return dict.fromkeys(islice((*self._served, *others), MOST_NAMED))

    async def _find_names(self) -> None:
        """Go on with the lap over the names; what the last whole lap found holds until it is over."""
        found = await self._counts.queues(self._after, _NAMES_AT_ONCE)
        self._lap.update(found)
        if len(found) == _NAMES_AT_ONCE:
            self._after = found[-1]
            self._holding |= self._lap
        else:
            self._holding, self._lap, self._after = self._lap, set(), ""
