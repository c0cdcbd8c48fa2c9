"""The right to hold tasks: what this process may believe about itself, and the beat that renews it (L1 to L3).

A Lease is read on the loop and written on the beat's thread; each field is replaced whole, so no lock is needed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from sluice.core.errors import Hindered, StoreUnavailable
from sluice.core.events import LeaseLost, StoreBack, StoreLost
from sluice.core.ids import new_consumer_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from sluice.core.clock import Clock
    from sluice.core.events import Report
    from sluice.core.task import ConsumerId
    from sluice.db.consumers import Registration


class Beats(Protocol):
    """What a beat needs of the store."""

    async def register(self, consumer: ConsumerId, facts: Registration) -> None: ...
    async def beat(self, consumer: ConsumerId, running: int) -> bool: ...


class Lease:
    """This process as a consumer: its current id and the one before, and until when it may trust that it is alive.

    Trust ends a sixth of the lease before the lease does, counted from when the last good beat was *sent*.
    """

    def __init__(self, duration: timedelta, clock: Clock) -> None:
        self.duration = duration.total_seconds()
        self.margin = self.duration / 6
        self.consumer = new_consumer_id()
        self.former: ConsumerId | None = None
        self.clock = clock
        self._trusted_until = float("-inf")
        self._good_since: float | None = None

    @property
    def trusted(self) -> bool:
        """Whether claims may be made and handlers may start."""
        return self.clock() < self._trusted_until

    @property
    def remaining(self) -> float:
        """Seconds of trust that are left; negative when it has ended."""
        return self._trusted_until - self.clock()

    @property
    def well_for(self) -> float:
        """For how many seconds every beat was good: nobody may be judged for a silence that began before (U2)."""
        return self.clock() - self._good_since if self.trusted and self._good_since is not None else 0.0

    @property
    def unbroken(self) -> bool:
        """Whether every beat of a whole lease was good: only then may others be judged (U2)."""
        return self.well_for >= self.duration

    def renewed(self, sent_at: float) -> None:
        """A beat that was sent at `sent_at` (of the lease's clock) took effect."""
        if not self.trusted or self._good_since is None:
            self._good_since = sent_at
        self._trusted_until = sent_at + self.duration - self.margin

    def missed(self) -> None:
        """A beat did not come through: the gap counts, the trust runs on."""
        self._good_since = None

    def ended(self) -> None:
        """Declared dead: another id from here on, not trusted until its first beat."""
        self._trusted_until = float("-inf")
        self._good_since = None
        self.former, self.consumer = self.consumer, new_consumer_id()


class Beat:
    """One beat after another. A plain coroutine over its ports; only main.py puts it on a thread."""

    def __init__(
        self,
        *,
        lease: Lease,
        store: Beats,
        facts: Registration,
        running: Callable[[], int],
        clock: Clock,
        report: Report,
    ) -> None:
        self._lease = lease
        self._store = store
        self._facts = facts
        self._running = running
        self._clock = clock
        self._report = report
        self._registered = False
        self._lost = False
        self.period = timedelta(seconds=lease.duration / 4)

    async def step(self) -> timedelta:
        """Send one beat; how long to wait for the next. A store that does not answer is asked again soon."""
        sent_at = self._clock()
        try:
            good = await self._send()
        except StoreUnavailable as away:
            self._lease.missed()
            if isinstance(away, Hindered) and self._registered and not self._lease.trusted:
                return self._go_on_as_another(f"its row cannot be changed: {away.reason}")
            if not self._lost:
                self._report(StoreLost(away.store, doing="beat", reason=away.reason))
            self._lost = True
            return min(self.period / 2, timedelta(seconds=1))
        if self._lost:
            self._report(StoreBack("PostgreSQL", doing="beat"))
            self._lost = False
        if good:
            self._lease.renewed(sent_at)
            return self.period
        return self._go_on_as_another("others declared it dead, for want of beats")

    def _go_on_as_another(self, why: str) -> timedelta:
        self._report(LeaseLost(str(self._lease.consumer), why=why))
        self._lease.ended()
        self._registered = False
        return timedelta()

    async def _send(self) -> bool:
        if self._registered:
            return await self._store.beat(self._lease.consumer, self._running())
        await self._store.register(self._lease.consumer, self._facts)
        # Registering again changes nothing, so only the beat that follows says whether the row is alive.
        self._registered = await self._store.beat(self._lease.consumer, self._running())
        return self._registered
