"""Clocks of this process. They measure durations; instants come from the database alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

Clock = Callable[[], float]
"""Seconds from an arbitrary origin, never stepping back."""


def since_boot(number: int | None) -> Clock:
    """The system's clock of this number; the monotonic one where there is none such."""
    return time.monotonic if number is None else partial(time.clock_gettime, number)


boottime = since_boot(getattr(time, "CLOCK_BOOTTIME", None))
"""Seconds since boot, time asleep included: a lease runs on while a laptop's lid is closed.

It is read several times for every task, hence no function of ours around it.
"""
