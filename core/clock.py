"""Clocks of this process. They measure durations; instants come from the database alone."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds from an arbitrary origin, never stepping back."""


def boottime() -> float:
    """Seconds since boot, time asleep included: a lease runs on while a laptop's lid is closed.

    Falls back to the monotonic clock where the system has no CLOCK_BOOTTIME.
    """
    if _BOOTTIME is None:
        return time.monotonic()
    return time.clock_gettime(_BOOTTIME)


_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)
