"""Claims by the rows themselves: all work without Redis, and with it whatever hint was lost. Pops and pushes nothing.

The row is the truth, and a list may lack any of them. A consumer whose lists are empty scans every second for rows that
wait for it; one that is busy scans now and then for what waits longer than the tasks that its list brings. So every
loss heals, whatever it came from: ids that Redis lost or refused, a list that its audience left, a task that waited
until somebody served it (U4 scan).
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol
from uuid import UUID

from sluice.consumer.periodic import Rest
from sluice.core.task import TaskId
from sluice.db.claims import NO_HINTS, Hints
from sluice.db.rows import Place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sluice.consumer.intake.claim import Claimer
    from sluice.consumer.intake.redis_health import RedisHealth
    from sluice.core.audience import Audiences
    from sluice.core.clock import Clock
    from sluice.core.task import Kind, QueueName, ReadyList
    from sluice.core.waiting import Bell
    from sluice.db.claims import Lane

ALONE = timedelta(seconds=0.3)
"""How often rows are scanned while they are the only way to find work."""
IDLE = timedelta(seconds=1)
"""The same while the lists are empty, and nothing was found to be lost."""
BUSY = timedelta(seconds=4)
"""The same while the lists bring work."""
MOST_LANES = 200
_FIRST = TaskId(UUID(int=0))
_SHORTEST_REST = timedelta(milliseconds=1)
"""A rest that a timedelta cannot tell from none would have the scan repeated at once."""
_FIRST_PAUSE = timedelta(milliseconds=50)
_TWENTIETH, _HALF = 20, 2
"""Of one core of PostgreSQL's: the rest after a scan, in times of what the scan costs all consumers."""
_LONG_REST = 3.0
"""Seconds: beyond them a lost hint would wait for too long."""
_LONGEST_REST = 60.0
"""Seconds: what is lost must be found, whatever it costs."""


class Popped(NamedTuple):
    """What a pop brought, and all the lists that it was for, in its order."""

    list: ReadyList
    ids: Sequence[TaskId]
    asked: Sequence[ReadyList]


class FindsLanes(Protocol):
    """What a scan needs of the store."""

    async def lanes(
        self, queues: Sequence[QueueName], kinds: Sequence[Kind], n: int, *, since: str
    ) -> list[tuple[Lane, datetime]]: ...


class KnowsConsumers(Protocol):
    """Who knows which consumers are alive, and how many."""

    @property
    def audiences(self) -> Audiences: ...
    @property
    def consumers(self) -> int: ...


class Scan:
    """`step` finds the lanes that hold due tasks, `claim` takes from them in turn until they are empty.

    `popped` is what the lists brought last, None while they are empty.
    """

    def __init__(
        self,
        *,
        store: FindsLanes,
        claimer: Claimer,
        redis_health: RedisHealth,
        queues: Sequence[QueueName],
        kinds: Sequence[Kind],
        roster: KnowsConsumers,
        scan_bell: Bell,
        clock: Clock,
    ) -> None:
        self._store = store
        self._claimer = claimer
        self._redis_health = redis_health
        self._queues = list(queues)
        self._kinds = list(kinds)
        self._roster = roster
        self._bell = scan_bell
        self.popped: Popped | None = None
        self._barren = self._seldom = False
        self._lanes: dict[Lane, Place] = {}
        self._since = ""
        self._rest = Rest(clock)
        self._pause = timedelta()

    @property
    def found(self) -> bool:
        """Whether there is something to claim, as far as is known."""
        return bool(self._lanes)

    def brought(self, claimed: int) -> None:
        """Take note that popped ids brought so many tasks. When none, what waits lies behind what is over."""
        self._barren = not claimed
        if self._barren:
            self.sooner()

    def sooner(self) -> None:
        """Scan at once if scans are seldom because lists brought work: they bring none any more."""
        if self._seldom:
            self._seldom = False
            self._bell.ring()

    async def step(self) -> timedelta:
        """Scan once, as often as the lists ask for it: how long to wait for the next. Raises StoreUnavailable."""
        self._seldom = self.popped is not None and not self._barren
        if not self._redis_health.up:
            return await self.find(ALONE)
        return await self.find(BUSY if self._seldom else IDLE)

    async def find(self, every: timedelta) -> timedelta:
        """Find the lanes anew, each from its first row; how long to wait for the next scan.

        That is `every`, less after a find, and more where a scan takes long. One round trip; raises StoreUnavailable.
        """
        if (left := self._rest.left) > 0:
            return max(timedelta(seconds=left), _SHORTEST_REST)
        with self._rest.after_scan(partial(self._seconds_after, every)):
            found = await self._store.lanes(self._queues, self._kinds, MOST_LANES, since=self._since)
        self._since = ""
        if len(found) == MOST_LANES:  # others may be behind them: they come first next time
            last, _ = found[-1]
            at = self._queues.index(last.queue)
            self._queues, self._since = [*self._queues[at:], *self._queues[:at]], last.kind
        found.sort(key=lambda each: (-each[0].priority, each[1]))
        self._lanes = {lane: Place(first, _FIRST) for lane, first in found}
        self._pause = min(max(2 * self._pause, _FIRST_PAUSE), every)
        return self._pause

    def _seconds_after(self, every: timedelta, cost: float) -> float:
        """Return how long to rest after a scan of this cost: all consumers scan, and take a twentieth of a core.

        They take up to half of one where that is needed for short rests, and a whole one while rows are the only way.
        """
        of_all = cost * max(1, self._roster.consumers)
        if every is ALONE:
            return min(of_all, _LONGEST_REST)
        return min(of_all * _TWENTIETH, max(_LONG_REST, of_all * _HALF), _LONGEST_REST)

    async def claim(self, n: int) -> int:
        """Claim up to `n` due tasks that no list will bring; how many came. Raises StoreUnavailable."""
        lanes, listed = self._lanes, NO_HINTS
        if self.popped is not None:
            lanes, listed = self._not_listed(self.popped)
        if not lanes:
            self._lanes = {}
            return 0
        found = await self._claimer.claim_ready(lanes, n, listed)
        self._leave_behind(list(lanes), found.ends, full=found.claimed >= n)
        if found.claimed:
            self._pause = timedelta()
            if not self._lanes:
                self._bell.ring()
        return found.claimed

    def _not_listed(self, popped: Popped) -> tuple[dict[Lane, Place], Hints]:
        """Return the lanes whose tasks may be lost, and what is known of the list that was not empty.

        The lists that were popped before it are empty. What those behind it hold is unknown: their lanes wait.
        """
        audiences, asked = self._roster.audiences, {ready: at for at, ready in enumerate(popped.asked)}
        lists = {lane: audiences.list_of(*lane) for lane in self._lanes}
        turn = {lane: asked.get(ready, len(asked)) if ready else len(asked) for lane, ready in lists.items()}
        its_own = asked[popped.list]
        lanes = {lane: place for lane, place in self._lanes.items() if turn[lane] <= its_own}
        return lanes, Hints(popped.ids, frozenset(lane for lane in lanes if turn[lane] == its_own))

    def _leave_behind(self, asked: list[Lane], ends: Mapping[Lane, Place], *, full: bool) -> None:
        """Go on behind what was claimed. Lanes that were asked before the last that gave some are empty.

        That one goes behind the others of its priority: queues and kinds take turns. Unless `full`, all are empty.
        Where a suspect was all that came, nothing is known of the rest.
        """
        if not full:
            self._lanes = {}
            return
        if not ends:
            return
        last = max(at for at, lane in enumerate(asked) if lane in ends)
        for lane in asked[: last + 1]:
            self._lanes.pop(lane, None)
        self._lanes[asked[last]] = ends[asked[last]]
        self._lanes = dict(sorted(self._lanes.items(), key=lambda each: -each[0].priority))
