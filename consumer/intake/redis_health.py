"""Whether Redis answers pops. Pull asks before it pops; the way back is found here, holding nobody up (S4 no Redis)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from sluice.consumer.outage import Outage
from sluice.core.errors import StoreUnavailable

if TYPE_CHECKING:
    from sluice.consumer.pulse import Pulse
    from sluice.core.events import Report

_PERIOD = timedelta(seconds=1)


class TriesPopping(Protocol):
    """What is needed of Redis."""

    async def try_popping(self) -> None: ...


class RedisHealth:
    """`up` turns False when a pop is refused or not answered, and True again when the step's own succeeds."""

    def __init__(self, ready: TriesPopping | None, report: Report, pulse: Pulse | None = None) -> None:
        self._ready = ready
        self._outage = Outage("pull", report, pulse)

    @property
    def up(self) -> bool:
        """Whether Redis is worth a pop."""
        return self._ready is not None and not self._outage.on

    def lost(self, away: StoreUnavailable) -> None:
        """Take note that Redis did not answer a pop."""
        if self._ready is not None:
            self._outage.met(away)

    async def step(self) -> timedelta:
        """Ask whether Redis is back, while it is away."""
        if self._ready is not None and not self.up:
            try:
                await self._ready.try_popping()
            except StoreUnavailable as away:
                self._outage.met(away)
                return _PERIOD
            self._outage.over()
        return _PERIOD
