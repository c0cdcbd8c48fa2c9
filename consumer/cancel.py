"""The fast path of a cancel: a message names the run, the run is stopped. Reconcile is the path that does not fail."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from consumer.running import Stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from consumer.periodic import Bell, Stopping
    from consumer.running import Running
    from core.task import RunKey


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
        """Listen until the connection is lost. Messages of the time before it are lost: reconcile looks at once.

        It looks again when the server has taken us for a listener: what was sent while we connected is lost as well.
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
