"""How many tasks wait in each queue: counted in turn, as many a look as its budget allows. Lists no task.

Clients choose the names of queues, and how many there are; one that holds ten thousand tasks takes a millisecond to
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

    from core.task import QueueName
    from db.browse import Depth

MOST_NAMED = 1000
BUDGET = timedelta(milliseconds=25)
"""For names and counts together. /health is to be out within 100 ms, its first look as well: that one is made when the
API starts, so that here connections are open and statements prepared. The live consumers take some 5 ms before; this,
25 ms; what the last statement takes beyond, 5 ms (see `_share`); names, sorting and the answer's JSON, 5 ms. Redis and
the schema are looked at meanwhile. The 60 ms that are left are for a busy machine."""
_AT_ONCE = 16
"""Queues that one statement counts when the whole budget is left: of the deepest they take most of it."""
_NAMES_AT_ONCE = 2000


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

    async def look(self, served: Iterable[QueueName]) -> None:
        """Count for as long as the budget lasts, those first whose count is the oldest. Raises StoreUnavailable."""
        clock = asyncio.get_running_loop().time
        ends = clock() + BUDGET.total_seconds()
        self._served = sorted(set(served))
        await self._find_names()
        names = self._named()
        self._counted = {name: counted for name, counted in self._counted.items() if name in names}
        waiting = [name for name in names if name not in self._counted] + list(self._counted)
        at = 0
        while at < len(waiting):
            some = waiting[at : at + _share(ends - clock())]
            for name, depth in (await self._counts.depths(some)).items():
                self._counted.pop(name, None)  # the newest counts stand last
                self._counted[name] = Counted(depth.depth, depth.counted_at)
            at += len(some)
            if clock() >= ends:
                break

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


def _share(seconds_left: float) -> int:
    """How many queues the next statement counts: a sixteenth of the budget for each, as much as the deepest take.

    So the statement that ends the look ends about when the budget does, and one queue at least is counted.
    """
    return max(1, int(_AT_ONCE * seconds_left / BUDGET.total_seconds()))
