"""A claimer, and a store whose answers a test gives by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from sluice.consumer.intake.claim import Claimer
from sluice.consumer.lease import Lease
from sluice.core.task import Claim, ConsumerId, Kind, QueueName, TaskId
from sluice.db.claims import NO_HINTS, Batch, Hints, Lane
from sluice.db.rows import Place
from tests.unit.support import Clock, Events, trusted

KINDS = [Kind("test")]
LANE = Lane(QueueName("default"), Kind("test"), 5)
LANES = {LANE: Place(datetime(2026, 1, 1, tzinfo=UTC), TaskId(UUID(int=0)))}


class Store:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, object, ConsumerId, Sequence[Kind]]] = []
        self.answers: list[asyncio.Future[list[Claim]]] = []

    async def claim(
        self, ids: Sequence[TaskId], *, consumer: ConsumerId, kinds: Sequence[Kind], suspects: bool
    ) -> list[Claim]:
        assert not suspects
        return await self._answer("claim", list(ids), consumer, kinds)

    async def claim_ready(
        self,
        lanes: Mapping[Lane, Place],
        n: int,
        *,
        skip: int,
        suspect: int,
        consumer: ConsumerId,
        listed: Hints,
    ) -> Batch:
        assert (skip, suspect) == (0, 0)
        assert listed == NO_HINTS
        return Batch(await self._answer("claim_ready", (lanes, n), consumer, ()), {})

    async def _answer(self, verb: str, what: object, me: ConsumerId, kinds: Sequence[Kind]) -> list[Claim]:
        self.asked.append((verb, what, me, kinds))
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]


class Scene:
    """A claimer over a store that answers by hand. It is itself its neighbours."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.lease: Lease = trusted(self.clock)
        self.store, self.events = Store(), Events()
        self.started: list[tuple[list[Claim], ConsumerId]] = []
        self.full, self.may_begin, self.holds_suspect = False, False, False
        self.claimer = Claimer(
            store=self.store,
            kinds=KINDS,
            lease=self.lease,
            complete=self,
            quarantine=self,
            prefetch=self,
            report=self.events,
        )

    def put(self, claims: Sequence[Claim], consumer: ConsumerId) -> None:
        self.started.append((list(claims), consumer))
