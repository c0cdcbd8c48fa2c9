"""How many tasks wait in each queue: counted in turn, as many a look as its budget allows. Lists no task.

Clients choose the names of queues, and how many there are; one that holds ten thousand tasks takes milliseconds to
count. A look that counted all of them, or kept every name, would take as long and as much as clients please.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from sluice.core.task import QueueName
    from sluice.db.browse import Depth

MOST_NAMED = 1000
BUDGET = timedelta(milliseconds=25)
"""For the counts of one look. /health is to be out within 100 ms, its first answer too: the API makes the first look
when it starts, so that connections are open and statements prepared. The live consumers take some 5 ms, a page of names
10 ms, counts these 25 ms, as statements shrink towards their end, kinds 5 ms, and sorting and JSON 5 ms; Redis and the
schema are looked at meanwhile. What is left, half of it, is for a busy machine."""
_AT_ONCE = 8
"""Queues that one statement counts, where they are quick. When they are not any more, that shows after one of these."""
_NAMES_AT_ONCE = 2000
_UNKNOWN = BUDGET.total_seconds()
_QUICKEST = 1e-6


class CountsQueues(Protocol):
    """What is needed of the rows. Names come in one order, whichever it is."""

    async def queues(self, after: str, n: int) -> list[QueueName]: ...
    async def depths(self, queues: Sequence[QueueName]) -> dict[QueueName, Depth]: ...


@dataclass(frozen=True, slots=True)
class Counted:
    """A queue as it is shown: None until it was counted for the first time."""

    depth: int | None
    counted_at: datetime | None


_NEVER = Counted(None, None)


class Depths:
    """What is known of the queues; each look adds to it. Keeps a few thousand names, however many there are."""

    def __init__(self, counts: CountsQueues) -> None:
        self._counts = counts
        self._counted: dict[QueueName, Counted] = {}
        self._whole = _Lap()
        self._lap = _Lap()
        self._served: list[QueueName] = []
        self._each = _UNKNOWN  # seconds that counting a queue takes

    async def look(self, served: Iterable[QueueName]) -> None:
        """Count for as long as the budget lasts, those first whose count is the oldest. Raises StoreUnavailable."""
        self._served = sorted(set(served))
        await self._find_names()
        names = self._named()
        self._counted = {name: counted for name, counted in self._counted.items() if name in names}
        await self._count([name for name in names if name not in self._counted] + list(self._counted))

    def shown(self) -> dict[str, Counted]:
        """Up to MOST_NAMED queues by name, those that a live consumer serves before others."""
        return {name: self._counted.get(name, _NEVER) for name in sorted(self._named())}

    @property
    def unnamed(self) -> int:
        """How many queues there are beside those that are shown, as of the last whole lap over their names.

        While a lap has found more already than the last whole one, as many as that.
        """
        return max(0, max(lap.queues(self._served) for lap in (self._whole, self._lap)) - MOST_NAMED)

    def _named(self) -> dict[QueueName, None]:
        others = sorted((self._whole.names | self._lap.names).difference(self._served))
        return dict.fromkeys(islice((*self._served, *others), MOST_NAMED))

    async def _count(self, waiting: Sequence[QueueName]) -> None:
        """Count from the first on, with each statement no more queues than the rest of the budget is good for.

        One at least; and one alone, another, after a statement that failed or took too long.
        """
        clock = asyncio.get_running_loop().time
        began, at = clock(), 0
        ends = began + BUDGET.total_seconds()
        while at < len(waiting) and began < ends:
            each, self._each = self._each, _UNKNOWN
            some = waiting[at : at + max(1, min(_AT_ONCE, int((ends - began) / each)))]
            # The newest stand last, and those of a statement that fails as well: they have had their turn.
            for name in some:
                self._counted[name] = self._counted.pop(name, _NEVER)
            found = await self._counts.depths(some)
            self._counted |= {name: Counted(depth.depth, depth.counted_at) for name, depth in found.items()}
            began, took = clock(), clock() - began
            self._each = max(took / len(some), each / 2, _QUICKEST)
            at += len(some)

    async def _find_names(self) -> None:
        """Go on with the lap over the names; what the last whole lap found holds until it is over."""
        found = await self._counts.queues(self._lap.after, _NAMES_AT_ONCE)
        self._lap.add(found, set(self._served))
        if len(found) < _NAMES_AT_ONCE:
            self._whole, self._lap = self._lap, _Lap()


class _Lap:
    """One walk over the names, in their order: those that may be shown are kept, others counted."""

    def __init__(self) -> None:
        self.after = ""
        self.names: set[QueueName] = set()
        self._more = 0

    def add(self, found: Sequence[QueueName], served: Collection[QueueName]) -> None:
        """Keep the first MOST_NAMED and what is served: of any that are served later, enough are left beside."""
        for name in found:
            if len(self.names) < MOST_NAMED or name in served:
                self.names.add(name)
            else:
                self._more += 1
            self.after = name

    def queues(self, served: Iterable[QueueName]) -> int:
        """How many there are, with those that are served and hold nothing."""
        return len(self.names.union(served)) + self._more
