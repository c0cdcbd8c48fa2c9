"""What a handler may raise to say more than "it failed". Plain exceptions: nothing happens on raising but the raise."""

from __future__ import annotations

import math
from datetime import timedelta

from sluice.core.task import MAX_AHEAD_DAYS

_LONGEST = timedelta(days=MAX_AHEAD_DAYS)


def _duration(after: float | timedelta, what: str) -> timedelta:
    seconds = after.total_seconds() if isinstance(after, timedelta) else float(after)
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{what} takes a number of seconds from 0 up, not {after!r}")
    return min(timedelta(seconds=min(seconds, _LONGEST.total_seconds())), _LONGEST)


class Retry(Exception):
    """This try failed; the next may start `after` (seconds or timedelta), instead of after the usual backoff."""

    def __init__(self, reason: str = "retry asked for", *, after: float | timedelta | None = None) -> None:
        super().__init__(reason)
        self.after = None if after is None else _duration(after, "Retry(after=…)")


class Snooze(Exception):
    """Nothing is wrong: run this again in `seconds`. Not charged as an attempt."""

    def __init__(self, seconds: float | timedelta) -> None:
        self.delay = _duration(seconds, "Snooze(…)")
        super().__init__(f"again in {self.delay.total_seconds():g} s")

    def __reduce__(self) -> tuple[type[Snooze], tuple[timedelta]]:
        """It is made again from its delay, not from its text: one raised in a child process travels here."""
        return type(self), (self.delay,)


class Discard(Exception):
    """The task fails for good, whatever attempts are left."""

    def __init__(self, reason: str = "discarded") -> None:
        super().__init__(reason)
