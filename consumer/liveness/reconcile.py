"""Rows that this consumer holds and does not know of go back: the net under claims without an answer (L4 reconcile)."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from sluice.consumer.periodic import Rest
from sluice.core.events import GivenBack
from sluice.core.outcome import Reason, Return
from sluice.core.waiting import EARLY

if TYPE_CHECKING:
    from sluice.consumer.intake.claim import Claimer
    from sluice.consumer.intake.prefetch import Prefetch
    from sluice.consumer.lease import Lease
    from sluice.consumer.runs.complete import Complete
    from sluice.consumer.runs.running import Running
    from sluice.core.clock import Clock
    from sluice.core.events import Report
    from sluice.core.task import ConsumerId, RunKey

_OFTEN = timedelta(seconds=1.5)
"""How soon a scan follows while it may find something: a task whose claim had no answer should not wait for long."""
_SHARE = 50
_LONGEST_REST = 30.0
"""Seconds: what a claim took whose answer was lost waits about as long as what a dead consumer held, by default."""


class ReadsHeld(Protocol):
    """What reconciling needs of the store."""

    async def held(self, consumer: ConsumerId) -> set[RunKey]: ...


class Reconcile:
    """A step every second and a half while something is here, and every half lease while nothing is.

    While an old snapshot is held, a scan steps over all that this consumer has run since, and rests for it: it takes a
    fiftieth of one core of PostgreSQL's, or comes after thirty seconds.
    """

    def __init__(
        self,
        *,
        store: ReadsHeld,
        lease: Lease,
        claimer: Claimer,
        running: Running,
        prefetch: Prefetch,
        complete: Complete,
        clock: Clock,
        report: Report,
    ) -> None:
        self._store = store
        self._lease = lease
        self._claimer = claimer
        self._running = running
        self._prefetch = prefetch
        self._complete = complete
        self._clock = clock
        self._report = report
        self._strays: set[RunKey] = set()
        self._seen_under: ConsumerId | None = None
        self._claims_before = 0
        self._half_lease = lease.duration / 2
        self._scanned_at = -math.inf
        self._rest = Rest(clock)
        self.period = min(_OFTEN, timedelta(seconds=self._half_lease))

    async def step(self) -> timedelta:
        """Scan, unless the last scan is younger than half a lease and there is nothing that it could find by now.

        Raises StoreUnavailable.
        """
        young = self._clock() - self._scanned_at < self._half_lease - EARLY
        expected = self._here() or self._strays or self._seen_under != self._lease.consumer
        if (young and not expected) or self._rest.left > 0:
            return self.period
        with self._rest.after_scan(lambda cost: min(cost * _SHARE, _LONGEST_REST)):
            return await self.scan()

    async def scan(self) -> timedelta:
        """Give back the rows that nobody here holds, twice in a row."""
        if self._seen_under not in {None, self._lease.consumer}:
            await self._leave_former_self()
        consumer, began = self._lease.consumer, self._clock()
        rows = await self._store.held(consumer)
        if consumer != self._lease.consumer:
            return timedelta()  # declared dead in between: these rows are for others
        claims_before = self._claimer.last  # those that were begun during the scan may be in it
        strays = rows - self._here() - self._complete.keys()
        if self._seen_under == consumer and self._claimer.settled(self._claims_before):
            lost = strays & self._strays
            if lost:
                self._report(GivenBack(len(lost), why=Reason.ANSWER_LOST))
            for task_id, token in lost:
                self._complete.put(Return(task_id, token))
            strays -= lost
        self._strays, self._seen_under, self._claims_before = strays, consumer, claims_before
        self._scanned_at = began
        return self.period

    def _here(self) -> set[RunKey]:
        """Return what runs here, or waits for its slot."""
        return self._running.keys() | self._prefetch.keys()

    async def _leave_former_self(self) -> None:
        """Give back, behind the outcomes of its runs, what rows hold for the id that was declared dead (L5 new id)."""
        if self._seen_under is None:
            return
        rows = await self._store.held(self._seen_under)
        for task_id, token in rows - self._here() - self._complete.keys():
            self._complete.put(Return(task_id, token))
        self._seen_under = None
