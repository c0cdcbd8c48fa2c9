"""The claim as this consumer makes it: under its current id, and counted until what it brings is handed over."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Protocol

from core.errors import RowRefused, StoreUnavailable
from core.events import Claimed, StepFailed
from db.claims import Lane
from db.rows import Place

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from consumer.lease import Lease
    from core.events import Report
    from core.task import Claim, ConsumerId, Kind, TaskId
    from db.claims import Batch, Hints

_MOST_REFUSED = 10
"""How many refused rows one claim by the rows passes over: each costs it several statements."""


class ClaimsTasks(Protocol):
    """What the gate needs of the store."""

    async def claim(
        self, ids: Sequence[TaskId], *, consumer: ConsumerId, kinds: Sequence[Kind]
    ) -> list[Claim]: ...
    async def claim_ready(
        self,
        lanes: Mapping[Lane, Place],
        n: int,
        *,
        consumer: ConsumerId,
        listed: Hints,
        skip: int,
    ) -> Batch: ...


class Found(NamedTuple):
    """What a claim by the rows brought: how many, and the last row of each lane that gave some."""

    claimed: int
    ends: Mapping[Lane, Place]


class Gate:
    """Every claim of this process goes through here (R1). `start` gets what it brings, and the id that claimed it."""

    def __init__(
        self,
        *,
        store: ClaimsTasks,
        kinds: Sequence[Kind],
        lease: Lease,
        allowed: Callable[[], bool],
        start: Callable[[Sequence[Claim], ConsumerId], None],
        report: Report,
    ) -> None:
        self._store = store
        self._kinds = kinds
        self._lease = lease
        self._allowed = allowed
        self._start = start
        self._report = report
        self._numbers = count(1)
        self._in_flight: dict[int, int] = {}
        self._last = 0

    @property
    def open(self) -> bool:
        """Whether a claim may be made now: the lease is trusted and outcomes are being written."""
        return self._lease.trusted and self._allowed()

    @property
    def last(self) -> int:
        """The number of the newest claim that was begun."""
        return self._last

    @property
    def asked(self) -> int:
        """How many tasks the claims in flight may have taken."""
        return sum(self._in_flight.values())

    def settled(self, number: int) -> bool:
        """Whether no claim with this number or an older one is in flight (L4)."""
        return all(begun > number for begun in self._in_flight)

    async def claim(self, ids: Sequence[TaskId]) -> int:
        """Claim these ids; how many came back, and are handed over in the loop's next turn.

        Never to be canceled; raises StoreUnavailable, and then nobody knows what is ours. A row that PostgreSQL
        refuses, such as by a trigger of the user's, is left where it is, and alone (U1).
        """
        me = self._lease.consumer
        return await self._counted(me, len(ids), self._bisected(me, ids))

    async def claim_ready(self, lanes: Mapping[Lane, Place], n: int, listed: Hints) -> Found:
        """Claim up to `n` tasks of these lanes by the rows themselves. As `claim` otherwise."""
        me, ends = self._lease.consumer, dict[Lane, Place]()
        return Found(await self._counted(me, n, self._walked(me, lanes, n, listed, ends)), ends)

    async def _bisected(self, me: ConsumerId, ids: Sequence[TaskId]) -> list[Claim]:
        """One statement, or halves of it until each refused row is alone."""
        try:
            return await self._store.claim(ids, consumer=me, kinds=self._kinds)
        except RowRefused as refused:
            if len(ids) == 1:
                self._report(StepFailed("claim", reason=f"task {ids[0]} is refused: {refused.reason}"))
                return []
        claims: list[Claim] = []
        middle = len(ids) // 2
        for half in (ids[:middle], ids[middle:]):
            try:
                claims += await self._bisected(me, half) if self._may_go_on(me) else []
            except StoreUnavailable:
                if not claims:
                    raise  # otherwise what the first half brought is ours all the same
        return claims

    async def _walked(
        self,
        me: ConsumerId,
        lanes: Mapping[Lane, Place],
        n: int,
        listed: Hints,
        ends: dict[Lane, Place],
    ) -> list[Claim]:
        """One statement, or smaller ones that come to the refused rows one by one and pass over them."""
        claims: list[Claim] = []
        size, refused_rows, first = n, 0, True
        while size and refused_rows <= _MOST_REFUSED and (first or self._may_go_on(me)):
            first = False
            try:
                found = await self._store.claim_ready(
                    lanes, size, consumer=me, listed=listed, skip=refused_rows
                )
            except RowRefused as refused:
                if size == 1:
                    self._report(StepFailed("claim", reason=f"a task is refused: {refused.reason}"))
                    refused_rows += 1
                size = size // 2 or n - len(claims)
            except StoreUnavailable:
                if not claims:
                    raise
                break
            else:
                claims += found.claims
                ends |= {lane: max(end, ends.get(lane, end)) for lane, end in found.ends.items()}
                size = min(size, n - len(claims)) if len(found.claims) == size else 0
        return claims

    def _may_go_on(self, me: ConsumerId) -> bool:
        """Whether one more statement may follow under this id (L3)."""
        return self._lease.trusted and me == self._lease.consumer

    async def _counted(self, me: ConsumerId, asked: int, claiming: Awaitable[list[Claim]]) -> int:
        """How many came back; in flight until they are handed over, so that none of them counts as a stray (L4).

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
        self._start(claims, me)
