"""The claim as this consumer makes it: under its current id, and counted until what it brings is handed over."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Protocol
from uuid import UUID

from sluice.core.errors import RowRefused, StoreUnavailable
from sluice.core.events import Claimed, StepFailed
from sluice.core.halving import bisected
from sluice.core.task import TaskId
from sluice.db.claims import Lane
from sluice.db.rows import Place

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from sluice.consumer.lease import Lease
    from sluice.core.events import Report
    from sluice.core.task import Claim, ConsumerId, Kind
    from sluice.db.claims import Batch, Hints

_MOST_REFUSED = 10
"""How many refused rows one claim by the rows passes over: each costs it several statements."""
_END = Place(datetime.max.replace(tzinfo=UTC), TaskId(UUID(int=(1 << 128) - 1)))
"""Behind every row of a lane: a claim from there brings a suspect alone."""


class ClaimsTasks(Protocol):
    """What the gate needs of the store."""

    async def claim(
        self, ids: Sequence[TaskId], *, consumer: ConsumerId, kinds: Sequence[Kind], suspects: bool
    ) -> list[Claim]: ...
    async def claim_ready(
        self,
        lanes: Mapping[Lane, Place],
        n: int,
        *,
        consumer: ConsumerId,
        listed: Hints,
        skip: int,
        suspect: int,
    ) -> Batch: ...


class WritesBehind(Protocol):
    """Who writes outcomes, and may be behind with them."""

    @property
    def full(self) -> bool: ...


class LetsSuspectsBegin(Protocol):
    """Who says whether a task may begin that one more crash would poison (U2 reap)."""

    @property
    def may_begin(self) -> bool: ...


class StartsClaims(Protocol):
    """Who takes what was claimed, and starts it."""

    @property
    def holds_suspect(self) -> bool: ...
    def put(self, claims: Sequence[Claim], consumer: ConsumerId) -> None: ...


class Found(NamedTuple):
    """What a claim by the rows brought: how many, and the last row of each lane that gave some."""

    claimed: int
    ends: Mapping[Lane, Place]


class _Walk(NamedTuple):
    """A claim by the rows: what is asked for, and what it has brought so far."""

    lanes: Mapping[Lane, Place]
    n: int
    listed: Hints
    claims: list[Claim]
    ends: dict[Lane, Place]

    @property
    def room(self) -> int:
        """How many more may come."""
        return self.n - len(self.claims)


class Claimer:
    """Makes every claim of this process (R1 gate). `prefetch` gets what it brings, and the id that claimed it."""

    def __init__(
        self,
        *,
        store: ClaimsTasks,
        kinds: Sequence[Kind],
        lease: Lease,
        complete: WritesBehind,
        quarantine: LetsSuspectsBegin,
        prefetch: StartsClaims,
        report: Report,
    ) -> None:
        self._store = store
        self._kinds = kinds
        self._lease = lease
        self._complete = complete
        self._quarantine = quarantine
        self._prefetch = prefetch
        self._report = report
        self._numbers = count(1)
        self._in_flight: dict[int, int] = {}
        self._last = 0
        self._suspect_was_last = False

    @property
    def open(self) -> bool:
        """Whether a claim may be made now: the lease is trusted and outcomes are being written."""
        return self._lease.trusted and not self._complete.full

    @property
    def _suspect_may_begin(self) -> bool:
        return self._quarantine.may_begin and not self._prefetch.holds_suspect

    @property
    def last(self) -> int:
        """The number of the newest claim that was begun."""
        return self._last

    @property
    def asked(self) -> int:
        """How many tasks the claims in flight may have taken."""
        return sum(self._in_flight.values())

    def settled(self, number: int) -> bool:
        """Whether no claim with this number or an older one is in flight (L4 reconcile)."""
        return all(begun > number for begun in self._in_flight)

    async def claim(self, ids: Sequence[TaskId]) -> int:
        """Claim these ids; how many came back, and are handed over in the loop's next turn.

        Never to be canceled; raises StoreUnavailable, and then nobody knows what is ours. A row that PostgreSQL
        refuses, such as by a trigger of the user's, is left where it is, and alone (U1 turns).
        """
        me = self._lease.consumer
        return await self._counted(me, len(ids), self._by_ids(me, ids, suspects=self._suspect_may_begin))

    async def claim_ready(self, lanes: Mapping[Lane, Place], n: int, listed: Hints) -> Found:
        """Claim up to `n` tasks of these lanes by the rows themselves. As `claim` otherwise."""
        me, walk = self._lease.consumer, _Walk(lanes, n, listed, [], {})

        async def walked() -> list[Claim]:
            await self._walked(me, walk, suspects=self._suspect_may_begin)
            return walk.claims

        return Found(await self._counted(me, n, walked()), walk.ends)

    async def _by_ids(self, me: ConsumerId, ids: Sequence[TaskId], *, suspects: bool) -> list[Claim]:
        """Send one statement, or halves of it until each refused row is alone; one suspect from all of them."""
        claims: list[Claim] = []

        async def send(some: Sequence[TaskId]) -> None:
            if not self._may_go_on(me):
                return
            one_more = suspects and not any(claim.suspected for claim in claims)
            claims.extend(await self._store.claim(some, consumer=me, kinds=self._kinds, suspects=one_more))

        def refused_alone(task: TaskId, refused: RowRefused) -> None:
            self._report(StepFailed("claim", reason=f"task {task} is refused: {refused.reason}"))

        try:
            await bisected(ids, send, refused_alone)
        except StoreUnavailable:
            if not claims:
                raise  # otherwise what the first halves brought is ours all the same
        return claims

    async def _walked(self, me: ConsumerId, walk: _Walk, *, suspects: bool) -> None:
        """One statement. Where a row is refused, innocent tasks come first, and then a suspect by itself.

        So they do when one task is asked for and the last one was a suspect: both kinds go on with a single slot.
        """
        apart = suspects and walk.n == 1 and self._suspect_was_last
        try:
            if not suspects or apart or not await self._at_once(me, walk):
                await self._innocent(me, walk)
                if suspects:
                    await self._suspect(me, walk)
        except StoreUnavailable:
            if not walk.claims:
                raise
        self._suspect_was_last = len(walk.claims) == 1 and walk.claims[0].suspected

    async def _at_once(self, me: ConsumerId, walk: _Walk) -> bool:
        """Whether no row was refused, or nothing more may be asked."""
        try:
            await self._ask(me, walk, walk.n, suspect=1)
        except RowRefused:
            return not self._may_go_on(me)
        return True

    async def _innocent(self, me: ConsumerId, walk: _Walk) -> None:
        """One statement, or smaller ones that come to the refused rows one by one and pass over them."""
        size, refused_rows, first = walk.n, 0, True
        while size and refused_rows <= _MOST_REFUSED and (first or self._may_go_on(me)):
            first = False
            try:
                found = await self._ask(me, walk, size, skip=refused_rows)
            except RowRefused as refused:
                if size == 1:
                    self._report(StepFailed("claim", reason=f"a task is refused: {refused.reason}"))
                    refused_rows += 1
                size = size // 2 or walk.room
            else:
                size = min(size, walk.room) if found == size else 0

    async def _suspect(self, me: ConsumerId, walk: _Walk) -> None:
        """The first that is not refused."""
        behind = walk._replace(lanes=dict.fromkeys(walk.lanes, _END))
        for suspect in range(1, _MOST_REFUSED + 1):
            if not walk.room or not self._may_go_on(me):
                return
            try:
                await self._ask(me, behind, 1, suspect=suspect)
            except RowRefused as refused:
                self._report(StepFailed("claim", reason=f"a task is refused: {refused.reason}"))
            else:
                return

    async def _ask(self, me: ConsumerId, walk: _Walk, n: int, *, skip: int = 0, suspect: int = 0) -> int:
        """One statement; how many it brought. Raises RowRefused."""
        claims, ends = await self._store.claim_ready(
            walk.lanes, n, consumer=me, listed=walk.listed, skip=skip, suspect=suspect
        )
        walk.claims.extend(claims)
        walk.ends.update({lane: max(end, walk.ends.get(lane, end)) for lane, end in ends.items()})
        return len(claims)

    def _may_go_on(self, me: ConsumerId) -> bool:
        """Whether one more statement may follow under this id (L3 trust)."""
        return self._lease.trusted and me == self._lease.consumer

    async def _counted(self, me: ConsumerId, asked: int, claiming: Awaitable[list[Claim]]) -> int:
        """Return how many came back; in flight until they are handed over, so that none is a stray (L4 reconcile).

        Whoever waits here goes on before they start: the next claim is on its way by then, and PostgreSQL works on it
        while they run. Started first, they held it up: a tenth fewer tasks a second.
        """
        self._last = number = next(self._numbers)
        self._in_flight[number] = asked
        try:
            claims = await claiming
        except BaseException:
            del self._in_flight[number]
            raise
        self._in_flight[number] = len(claims)
        self._report(Claimed(len(claims), asked=asked))
        asyncio.get_running_loop().call_soon(self._hand_over, number, claims, me)
        return len(claims)

    def _hand_over(self, number: int, claims: list[Claim], me: ConsumerId) -> None:
        del self._in_flight[number]
        self._prefetch.put(claims, me)
