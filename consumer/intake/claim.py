"""The claim as this consumer makes it: under its current id, and counted until what it brings is handed over."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sluice.consumer.intake.walk import ClaimsByRows, Walk
from sluice.core.errors import RowRefused, StoreUnavailable
from sluice.core.events import Claimed, StepFailed
from sluice.core.halving import bisected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from sluice.consumer.lease import Lease
    from sluice.core.events import Report
    from sluice.core.task import Claim, ConsumerId, Kind, TaskId
    from sluice.db.claims import Hints, Lane
    from sluice.db.rows import Place


class ClaimsTasks(ClaimsByRows, Protocol):
    """What is needed of the store."""

    async def claim(
        self, ids: Sequence[TaskId], *, consumer: ConsumerId, kinds: Sequence[Kind], suspects: bool
    ) -> list[Claim]: ...


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
        walk = Walk(
            store=self._store, lease=self._lease, report=self._report, lanes=lanes, n=n, listed=listed
        )

        async def walked() -> list[Claim]:
            await walk.go(suspects=self._suspect_may_begin, innocent_first=self._suspect_was_last)
            self._suspect_was_last = len(walk.claims) == 1 and walk.claims[0].suspected
            return walk.claims

        return Found(await self._counted(walk.me, n, walked()), walk.ends)

    async def _by_ids(self, me: ConsumerId, ids: Sequence[TaskId], *, suspects: bool) -> list[Claim]:
        """Send one statement, or halves of it until each refused row is alone; one suspect from all of them."""
        claims: list[Claim] = []

        async def send(some: Sequence[TaskId]) -> None:
            if not self._lease.trusts(me):
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
