"""A store that one part finds away: told once when that begins, and once when it is over. Waits for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluice.core.events import StoreBack, StoreLost

if TYPE_CHECKING:
    from sluice.consumer.pulse import Pulse
    from sluice.core.errors import StoreUnavailable
    from sluice.core.events import Report


_NO_ACCIDENT = 3
"""So many failures in a row are the store's, whatever our loop does. A loop may stand still again and again."""


class Outage:
    """`doing` is what the part was at. Of what fails because our own loop stood still nothing is told."""

    def __init__(self, doing: str, report: Report, pulse: Pulse | None = None) -> None:
        self._doing = doing
        self._report = report
        self._pulse = pulse
        self._store: str | None = None
        self._failures = 0

    @property
    def on(self) -> bool:
        """Whether the part has failed since it last succeeded, whoever is to blame."""
        return self._failures > 0

    def met(self, away: StoreUnavailable) -> None:
        """Tell of it, unless that is known, or our own loop is the likelier cause."""
        self._failures += 1
        ours = self._pulse is not None and self._pulse.stood_still and self._failures < _NO_ACCIDENT
        if self._store is None and not ours:
            self._store = away.store
            self._report(StoreLost(away.store, doing=self._doing, reason=away.reason))

    def over(self) -> None:
        """Tell that the store is back, if it was told that it is away."""
        self._failures = 0
        if self._store is not None:
            store, self._store = self._store, None
            self._report(StoreBack(store, doing=self._doing))
