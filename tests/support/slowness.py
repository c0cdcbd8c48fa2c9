"""How slow this machine is just now, for limits that are meant for an ordinary one."""

from __future__ import annotations

import time

_ROUNDS = 200_000
_ORDINARY_SECONDS = 0.012
"""Of a processor's time, on the machines for which the limits in the tests were chosen."""


def slowness() -> float:
    """How many times as long a piece of Python takes here as on an ordinary machine; 1 at least."""
    began = time.thread_time()
    total = 0
    for number in range(_ROUNDS):
        total += number
    return max(1.0, (time.thread_time() - began) / _ORDINARY_SECONDS)
