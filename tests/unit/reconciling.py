"""A consumer's own view of what it runs, beside rows that may say otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

from sluice.consumer.intake.claim import Claimer
from sluice.consumer.intake.prefetch import Prefetch
from sluice.consumer.liveness.cancels import Compare
from sluice.consumer.liveness.reconcile import Reconcile
from sluice.consumer.runs.complete import Complete
from sluice.consumer.runs.running import Run, Running
from sluice.core.outcome import Return
from sluice.core.task import Claim, ConsumerId, FencingToken, RunKey
from sluice.db.claims import Batch
from tests.unit.support import Clock, Events, begun, claim, task_id, trusted

TOKEN = FencingToken(1)


def key(number: int) -> RunKey:
    return (task_id(number), TOKEN)


class Scene:
    """A consumer's own view and what the rows say. It is itself the store and the writing of outcomes."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.lease = trusted(self.clock)
        self.running = Running()
        self.writing: set[RunKey] = set()
        self.prefetched: set[RunKey] = set()
        self.rows: dict[ConsumerId, set[RunKey]] = {self.lease.consumer: set()}
        self.put_back: list[Return] = []
        self.scans = 0
        self.scan_takes = 0.0
        self.during_the_scan: Callable[[], Any] = lambda: None
        self.answers: list[asyncio.Future[list[Claim]]] = []
        self.events = Events()
        prefetch = cast("Prefetch", SimpleNamespace(keys=lambda: self.prefetched, put=lambda *_: None))
        self.claimer = Claimer(
            store=self,
            kinds=[],
            lease=self.lease,
            complete=SimpleNamespace(full=False),
            quarantine=SimpleNamespace(may_begin=False),
            prefetch=prefetch,
            report=self.events,
        )
        self.reconcile = Reconcile(
            store=self,
            lease=self.lease,
            claimer=self.claimer,
            running=self.running,
            prefetch=prefetch,
            complete=cast("Complete", self),
            clock=self.clock,
            report=self.events,
        )
        self.asked: list[set[RunKey]] = []
        self.during_the_comparison: Callable[[], Any] = lambda: None
        self.compare = Compare(
            store=self,
            running=self.running,
            prefetch=prefetch,
            complete=cast("Complete", self),
            often=timedelta(seconds=self.lease.duration / 2),
        )

    @property
    def mine(self) -> set[RunKey]:
        return self.rows[self.lease.consumer]

    async def held(self, consumer: ConsumerId) -> set[RunKey]:
        self.scans += 1
        self.during_the_scan()
        seen = set(self.rows.get(consumer, ()))
        await asyncio.sleep(self.scan_takes)
        self.clock.move(self.scan_takes)
        return seen

    async def held_among(self, runs: Collection[RunKey]) -> set[RunKey]:
        self.asked.append(set(runs))
        seen = self.mine & set(runs)
        self.during_the_comparison()
        await asyncio.sleep(0)
        return seen

    async def claim(self, *_: object, **__: object) -> list[Claim]:
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]

    async def claim_ready(self, *_: object, **__: object) -> Batch:
        raise AssertionError

    def keys(self) -> set[RunKey]:
        return self.writing

    def put(self, write: Return) -> None:
        self.put_back.append(write)
        self.writing.add((write.id, write.token))

    def runs(self, *numbers: int) -> list[Run]:
        """Runs that are on and whose rows say so."""
        found = [begun(claim(number)) for number in numbers]
        self.running._runs.update((run.claim.key, run) for run in found)
        self.mine.update(run.claim.key for run in found)
        return found

    async def scan(self) -> timedelta:
        return await self.reconcile.scan()
