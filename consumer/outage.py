"""A store that one part finds away: told once when that begins, and once when it is over. Waits for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluice.core.events import StoreBack, StoreLost

if TYPE_CHECKING:
    from sluice.consumer.pulse import Pulse
    from sluice.core.errors import StoreUnavailable
    from sluice.core.events import Report


class Outage:
    """`doing` is what the part was at. What fails because our own loop stood still is no outage."""

    def __init__(self, doing: str, report: Report, pulse: Pulse | None = None) -> None:
        self._doing = doing
        self._report = report
        self._pulse = pulse
        self._store: str | None = None

    @property
    def known(self) -> bool:
        """Whether it was told that the store is away."""
        return self._store is not None

    def met(self, away: StoreUnavailable) -> None:
        """Tell of it, unless that is known."""
        if self._store is None and not (self._pulse is not None and self._pulse.stood_still):
            self._store = away.store
            self._report(StoreLost(away.store, doing=self._doing, reason=away.reason))

    def over(self) -> None:
        """Tell that the store is back, if it was away."""
        if self._store is not None:
            store, self._store = self._store, None
            self._report(StoreBack(store, doing=self._doing))
