"""How much this consumer can take in: its slots, and how fast they become free. Knows nothing of what runs in them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

UNSTARTED = timedelta(seconds=1)
"""How long a task may wait unstarted in a full consumer before it goes back to where others find it."""
_FAST_SECONDS = 0.01
"""A handler this short is over before the next pop's answer is here. Not tuned finely: 5 to 20 ms behave alike."""
_WEIGHT = 1 / 16


class Capacity:
    """So many `slots`: one is taken for a claim, occupied by its handler, vacated when that is done (C2 slots).

    `free` are those that nobody has taken. It is below zero while claims are prefetched: some then wait for a vacant
    one. The mean duration of handlers, exponentially weighted, says whether prefetching pays.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.free = slots
        self.busy = 0
        self._wake: list[Callable[[], None]] = []
        self._mean: float | None = None

    @property
    def vacant(self) -> int:
        """How many handlers may start now."""
        return self.slots - self.busy

    @property
    def fast(self) -> bool:
        """Whether handlers are so fast that prefetching pays. False until one has shown it."""
        return self._mean is not None and self._mean < _FAST_SECONDS

    def when_freed(self, wake: Callable[[], None]) -> None:
        """Have `wake` called at each `freed`."""
        self._wake.append(wake)

    def freed(self) -> None:
        """Tell everybody that there may be room again."""
        for wake in self._wake:
            wake()

    def take(self, n: int) -> None:
        """Promise `n` slots."""
        self.free -= n

    def release(self, n: int = 1) -> None:
        """Give `n` slots back that no handler occupied."""
        self.free += n
        self.freed()

    def occupy(self, n: int) -> None:
        """Start `n` handlers, in slots that were taken for them."""
        if n > self.vacant:
            raise AssertionError(f"{n} handlers want to start, {self.vacant} may")
        self.busy += n

    def vacate(self) -> None:
        """Free the slot of a handler that is out of the way."""
        self.busy -= 1
        self.free += 1
        self.freed()

    def took(self, seconds: float) -> None:
        """Count a handler that took this long."""
        self._mean = seconds if self._mean is None else self._mean + (seconds - self._mean) * _WEIGHT

    def overestimated(self) -> None:
        """Forget how fast handlers were: what was taken in for them waits for too long."""
        self._mean = None
