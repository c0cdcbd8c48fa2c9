"""Whether Redis answers pops. Pull asks before it pops; the way back is found here, holding nobody up (S4)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from sluice.core.errors import StoreUnavailable
from sluice.core.events import StoreBack, StoreLost

if TYPE_CHECKING:
    from sluice.core.events import Report

_LOOK = timedelta(seconds=1)


class TriesPopping(Protocol):
    """What presence needs of Redis."""

    async def try_popping(self) -> None: ...


class Presence:
    """`here` turns False when a pop is refused or not answered, and True again when the step's own is not."""

    def __init__(self, ready: TriesPopping | None, report: Report) -> None:
        self.here = ready is not None
        self._ready = ready
        self._report = report

    def lost(self, reason: str) -> None:
        """Redis did not answer a pop."""
        if self.here:
            self.here = False
            self._report(StoreLost("Redis", doing="pull", reason=reason))

    async def step(self) -> timedelta:
        """Ask, while Redis is away, whether it is back."""
        if self._ready is not None and not self.here:
            try:
                await self._ready.try_popping()
            except StoreUnavailable:
                return _LOOK
            self.here = True
            self._report(StoreBack("Redis", doing="pull"))
        return _LOOK
