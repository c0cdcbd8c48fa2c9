"""Durations and moments as people write them: 90, 30s, 5m, 2h, 1d. Reads no clock."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from typer import BadParameter

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST = 1e9
"""Seconds before now, some thirty years: before anybody's first task."""
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")


def seconds(text: str) -> float:
    """Return how many seconds `text` says; the API judges whether so many may be. Raises BadParameter."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        found = float(number) * _UNITS[unit]
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise BadParameter("it must be a number of seconds, or one with a unit: 30s, 5m, 2h, 1d")
    return found


def time_limit(text: str) -> float:
    """Return the seconds to wait. Raises BadParameter, also for fewer than none."""
    found = seconds(text)
    if found < 0:
        raise BadParameter("it must not be below 0")
    return found


@dataclass(frozen=True, slots=True)
class Since:
    """Where a list ends: at a moment as RFC 3339 writes it, which the API judges, or so long before now."""

    moment: str
    ago: timedelta | None = None

    @classmethod
    def parse(cls, text: str) -> Since:
        """Return what `text` says. Raises BadParameter."""
        if _DATE.match(text):
            return cls(text)
        try:
            return cls(text, timedelta(seconds=min(time_limit(text), _LONGEST)))
        except BadParameter:
            raise BadParameter("it must be like 30m, 2h or 1d, or like 2030-01-31T09:30:00Z") from None

    def at(self, now: datetime) -> str:
        """Return the moment as the API takes it. `now` is aware."""
        return self.moment if self.ago is None else (now - self.ago).isoformat()
