"""The right to hold tasks: what this process may believe about itself. Sends no beat (L3 trust).

A Lease is read on the loop and written on the heartbeat's thread; each field is replaced whole, so no lock is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluice.core.ids import new_consumer_id

if TYPE_CHECKING:
    from datetime import timedelta

    from sluice.core.clock import Clock
    from sluice.core.task import ConsumerId


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

    def trusts(self, consumer: ConsumerId) -> bool:
        """Whether one more statement may follow, or handler start, under this id."""
        same = consumer is self.consumer or consumer == self.consumer  # UUIDs are compared in Python
        return same and self.clock() < self._trusted_until

    @property
    def remaining(self) -> float:
        """Seconds of trust that are left; negative when it has ended."""
        return self._trusted_until - self.clock()

    @property
    def well_for(self) -> float:
        """For how many seconds every beat was good: nobody may be judged for a silence that began before (U2 reap)."""
        return self.clock() - self._good_since if self.trusted and self._good_since is not None else 0.0

    @property
    def unbroken(self) -> bool:
        """Whether every beat of a whole lease was good: only then may others be judged (U2 reap)."""
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
