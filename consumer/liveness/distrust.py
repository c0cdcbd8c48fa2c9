"""Stops handlers when the lease is no longer trusted, and those of a former id (L3 trust). Ends no process.

Claims that still wait for their slots go back then.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sluice.consumer.runs.running import Stop

if TYPE_CHECKING:
    from sluice.consumer.intake.prefetch import Prefetch
    from sluice.consumer.lease import Lease
    from sluice.consumer.runs.running import Running


class Distrust:
    """A step on the main loop, several to a margin."""

    def __init__(self, lease: Lease, running: Running, prefetch: Prefetch) -> None:
        self._lease = lease
        self._running = running
        self._prefetch = prefetch
        self._longest = timedelta(seconds=lease.margin / 4)

    async def step(self) -> timedelta:
        """Check once; how long the lease may be left alone."""
        self._prefetch.refuse()
        if not self._lease.trusted:
            self._running.stop_all(Stop.LEASE)
            return self._longest
        for run in self._running.runs():
            if run.consumer != self._lease.consumer:
                run.stop(Stop.LEASE)
        return min(self._longest, timedelta(seconds=max(self._lease.remaining, 0.01)))
