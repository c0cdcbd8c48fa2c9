"""One reporter per process: counts every event and logs those at or above the level. Never raises, never waits."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sluice.core.telemetry.log import LEVELS, logger

if TYPE_CHECKING:
    from sluice.core.events import Event


class Reporter:
    """Call it with an event. `counts` holds the totals by event name since the start."""

    def __init__(self, level: str = "info") -> None:
        self.counts: Counter[str] = Counter()
        self._threshold = LEVELS[level]
        self._log = logger()

    def __call__(self, event: Event) -> None:
        """Count it, and log it when its level is on."""
        self.counts[event.name] += event.count
        if LEVELS[event.level] >= self._threshold:
            facts = {name: value for name, value in event.facts().items() if value is not None}
            self._log.log(LEVELS[event.level], event.name, **facts)
