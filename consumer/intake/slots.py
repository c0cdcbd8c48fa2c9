"""How many handlers may run here at once, and how many claims have a place. Counts; knows nothing of what runs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

UNSTARTED = timedelta(seconds=1)
"""How long a task may wait unstarted in a full consumer before it goes back to where others find it."""


class Slots:
    """`capacity` places: one is taken for a claim, occupied by its handler, vacated when that is out of the way (C2).

    `free` are those that nobody has taken. It is below zero while claims run ahead: some then wait for a vacant one.
    """

    def __init__(self, capacity: int, freed: Callable[[], None]) -> None:
        self.capacity = capacity
        self.free = capacity
        self.busy = 0
        self._freed = freed

    @property
    def vacant(self) -> int:
        """How many handlers may start now."""
        return self.capacity - self.busy

    def take(self, n: int) -> None:
        """Promise `n` places."""
        self.free -= n

    def release(self, n: int = 1) -> None:
        """Give `n` back that no handler occupied, and say so."""
        self.free += n
        self._freed()

    def occupy(self, n: int) -> None:
        """`n` handlers start, in places that were taken for them."""
        if n > self.vacant:
            raise AssertionError(f"{n} handlers want to start, {self.vacant} may")
        self.busy += n

    def vacate(self) -> None:
        """A handler is out of the way; say so."""
        self.busy -= 1
        self.free += 1
        self._freed()
