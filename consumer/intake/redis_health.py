"""Whether Redis answers pops. Pull asks before it pops; the way back is found here, holding nobody up (S4 no Redis)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from sluice.core.errors import StoreUnavailable
from sluice.core.events import StoreBack, StoreLost

if TYPE_CHECKING:
    from sluice.core.events import Report

_PERIOD = timedelta(seconds=1)


class TriesPopping(Protocol):
    """What is needed of Redis."""

    async def try_popping(self) -> None: ...


class RedisHealth:
    """`up` turns False when a pop is refused or not answered, and True again when the step's own succeeds."""

    def __init__(self, ready: TriesPopping | None, report: Report) -> None:
        self.up = ready is not None
        self._ready = ready
        self._report = report

    def lost(self, reason: str) -> None:
        """Take note that Redis did not answer a pop."""
        if self.up:
            self.up = False
            self._report(StoreLost("Redis", doing="pull", reason=reason))

    async def step(self) -> timedelta:
        """Ask whether Redis is back, while it is away."""
        if self._ready is not None and not self.up:
            try:
                await self._ready.try_popping()
            except StoreUnavailable:
                return _PERIOD
            self.up = True
            self._report(StoreBack("Redis", doing="pull"))
        return _PERIOD
