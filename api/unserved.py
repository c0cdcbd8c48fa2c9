"""What waits and no live consumer serves: kinds, found in turn, and the sentences that /health warns with.

Clients choose the names of queues and, where unknown kinds are taken, those of kinds. A look reads a bounded number of
them and goes on where the last one stopped; a bounded number is kept, and the others are counted. Mends nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Protocol

from sluice.core.unserved import WITH_KIND, with_queue
from sluice.db.browse import DEPTH_CAP

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sluice.api.depths import Counted
    from sluice.core.audience import Audiences
    from sluice.core.task import Kind, QueueName

KINDS_AT_ONCE = 200
"""Kinds that one look reads: some 3 ms of the 100 that /health may take."""
QUEUES_AT_ONCE = 200
"""Each of them costs a probe, whether it holds something or not."""
MOST_KEPT = 100
MOST_SENTENCES = 10
"""Of one sort: a person reads no more."""


class FindsKinds(Protocol):
    """What is needed of the rows."""

    async def waiting_kinds(
        self, queues: Sequence[QueueName], afters: Sequence[str], n: int
    ) -> list[tuple[QueueName, Kind]]: ...


class LooksAround(Protocol):
    """Who is alive, as of the last `step`."""

    async def step(self) -> object: ...
    @property
    def audiences(self) -> Audiences: ...


class UnservedKinds:
    """Kinds whose tasks wait in a served queue, where none of those that serve it has the kind."""

    def __init__(self, rows: FindsKinds, roster: LooksAround) -> None:
        self._rows = rows
        self._roster = roster
        self._served: Sequence[QueueName] = []
        self._whole = _Lap()
        self._lap = _Lap()

    async def look(self, served: Iterable[QueueName]) -> None:
        """Go on with the lap over the kinds in these queues, as of the consumers of now. Raises StoreUnavailable."""
        self._served = sorted(set(served))
        after_queue, after_kind = self._lap.after
        at = bisect_left(self._served, after_queue)
        queues = self._served[at : at + QUEUES_AT_ONCE]
        afters = [after_kind if queue == after_queue else "" for queue in queues]
        found = await self._rows.waiting_kinds(queues, afters, KINDS_AT_ONCE) if queues else []
        await self._roster.step()
        self._lap.add(pair for pair in found if not self._roster.audiences.serves(*pair))
        if len(found) == KINDS_AT_ONCE:
            self._lap.after = found[-1]
        elif at + QUEUES_AT_ONCE < len(self._served):
            self._lap.after = (self._served[at + QUEUES_AT_ONCE], "")
        else:
            self._whole, self._lap = self._lap, _Lap()

    @property
    def shown(self) -> list[tuple[QueueName, Kind]]:
        """Return up to MOST_KEPT of them, in order; what the last whole lap found holds until the next is over."""
        queues, audiences = set(self._served), self._roster.audiences
        kept = sorted(self._whole.kept | self._lap.kept)
        return [pair for pair in kept if pair[0] in queues and not audiences.serves(*pair)][:MOST_KEPT]

    @property
    def more(self) -> int:
        """How many there are beside those that are shown: at least."""
        return max(0, max(len(lap.kept) + lap.more for lap in (self._whole, self._lap)) - MOST_KEPT)


class _Lap:
    """One walk over the kinds, queue by queue. `after` is where it goes on."""

    def __init__(self) -> None:
        self.after: tuple[str, str] = ("", "")
        self.kept: set[tuple[QueueName, Kind]] = set()
        self.more = 0

    def add(self, found: Iterable[tuple[QueueName, Kind]]) -> None:
        """Keep the first MOST_KEPT, count the others."""
        for pair in found:
            if len(self.kept) < MOST_KEPT:
                self.kept.add(pair)
            else:
                self.more += 1


def unserved(queues: Mapping[str, Counted], served: Collection[str]) -> list[str]:
    """The queues that hold tasks, as far as is known, and that are not served. What was not counted yet holds some."""
    return [name for name, counted in queues.items() if name not in served and counted.depth != 0]


def of_nobody_alive(queues: Mapping[str, Counted], unnamed: int) -> list[str]:
    """The warning when no consumer is alive: none while nothing waits."""
    waiting = [counted.depth for counted in queues.values() if counted.depth != 0]
    if not waiting and not unnamed:
        return []
    capped = unnamed > 0 or any(depth is None or depth >= DEPTH_CAP for depth in waiting)
    n = sum(depth or 0 for depth in waiting)
    return [f"{_tasks(n, capped=capped)} {'waits' if n == 1 else 'wait'} and no consumer is alive"]


def of_queues(names: Sequence[str], queues: Mapping[str, Counted], unnamed: int) -> list[str]:
    """A warning for each of these unserved queues, and one for the rest of them."""
    said = []
    for name in names[:MOST_SENTENCES]:
        depth = queues[name].depth
        tasks = _tasks(depth or 0, capped=depth is None or depth >= DEPTH_CAP)
        said.append(f"queue {name} holds {tasks} and no live consumer serves it: {with_queue(name)}")
    # Queues that are served are named first: once another one is named, what is not named is not served.
    if rest := len(names) - len(said) + (unnamed if names else 0):
        said.append(f"{_more(rest, 'queue')} hold tasks and no live consumer serves them")
    return said


def of_kinds(kinds: UnservedKinds) -> list[str]:
    """A warning for each kind that nobody serves where its tasks wait, and one for the rest of them."""
    shown = kinds.shown
    said = [
        f"tasks of kind {kind} wait in queue {queue} and no live consumer of that queue has the kind: {WITH_KIND}"
        for queue, kind in shown[:MOST_SENTENCES]
    ]
    if rest := len(shown) - len(said) + (kinds.more if shown else 0):
        said.append(f"tasks of {_more(rest, 'kind')} wait that no live consumer has")
    return said


def _tasks(n: int, *, capped: bool) -> str:
    """How many: exactly, or at least so many."""
    if not n:
        return "tasks"
    return f"{'at least ' if capped else ''}{n:,} task{'' if n == 1 else 's'}"


def _more(n: int, noun: str) -> str:
    return f"{n:,} more {noun}{'' if n == 1 else 's'}"
