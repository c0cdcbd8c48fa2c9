"""Whether the main loop goes round. While it stands still nobody reads answers, and no store is to blame."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluice.core.clock import Clock

PERIOD_SECONDS = 0.5
_LATE_SECONDS = 2 * PERIOD_SECONDS
_AFTERMATH_SECONDS = 1.0
"""So long after a standstill what it made late may still fail."""


class Pulse:
    """The loop beats it twice a second; any thread may ask."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.last = clock()
        """When it was beaten last."""
        self._late_until = float("-inf")

    def beat(self) -> None:
        """Take note that the loop goes round."""
        now = self._clock()
        if now - self.last > _LATE_SECONDS:
            self._late_until = now
        self.last = now

    @property
    def stood_still(self) -> bool:
        """Whether the loop stood still until a moment ago: what ran out of time meanwhile had perhaps been answered."""
        now = self._clock()
        return now - self.last > _LATE_SECONDS or now - self._late_until < _AFTERMATH_SECONDS
