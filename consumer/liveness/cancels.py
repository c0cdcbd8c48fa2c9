"""Two ways of a cancel to its run: a message (S3 cancels), which may be lost, and a look at its row (L4 reconcile)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from sluice.consumer.runs.running import Stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from sluice.consumer.intake.prefetch import Prefetch
    from sluice.consumer.runs.complete import Complete
    from sluice.consumer.runs.running import Running
    from sluice.core.task import RunKey
    from sluice.core.waiting import Bell, Stopping

_OFTEN = timedelta(seconds=1.5)
"""How late a cancel may be seen whose message was lost or refused."""


class Listens(Protocol):
    """What the listener needs of the signals."""

    def listen(self) -> AsyncIterator[RunKey | None]: ...


class Listener:
    """Hears of canceled runs. A step lasts as long as its connection."""

    def __init__(
        self,
        *,
        signals: Listens,
        running: Running,
        missed: Bell,
        stopping: Stopping,
    ) -> None:
        self._signals = signals
        self._running = running
        self._missed = missed
        self._stopping = stopping

    async def step(self) -> timedelta:
        """Listen until the connection is lost. Messages of the time before it are lost: the rows are compared.

        They are compared again once the server knows us as a listener: what was sent while we connected is lost too.
        """
        self._missed.ring()
        listening = False
        async for message in self._signals.listen():
            if self._stopping.requested:
                break
            if not listening:
                self._missed.ring()
            listening = True
            if message is not None:
                self._running.stop(message, Stop.CANCELED)
        return timedelta()


class ReadsHeldAmong(Protocol):
    """What comparing needs of the store."""

    async def held_among(self, runs: Collection[RunKey]) -> set[RunKey]: ...


class Compare:
    """Stops what runs here and whose row was canceled or taken, at the cost of what runs here (L4 reconcile)."""

    def __init__(
        self,
        *,
        store: ReadsHeldAmong,
        running: Running,
        prefetch: Prefetch,
        complete: Complete,
        often: timedelta,
    ) -> None:
        self._store = store
        self._running = running
        self._prefetch = prefetch
        self._complete = complete
        self.period = min(_OFTEN, often)

    async def step(self) -> timedelta:
        """Compare once with the rows of what is here; no statement while nothing is."""
        runs = self._here()
        if runs:
            held = await self._store.held_among(runs)
            for key in (runs & self._here()) - held:
                self._running.stop(key, Stop.CANCELED)
        return self.period

    def _here(self) -> set[RunKey]:
        """Return what runs here or waits for its slot, and whose outcome is not being written."""
        return (self._running.keys() | self._prefetch.keys()) - self._complete.keys()
