"""How many handlers may run here at once. Counts; knows nothing of what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Slots:
    """`capacity` places. A place is taken before a claim and released when its handler is out of the way (C2)."""

    def __init__(self, capacity: int, freed: Callable[[], None]) -> None:
        self.capacity = capacity
        self.free = capacity
        self._freed = freed

    def take(self, n: int) -> None:
        """Take `n` of the free places."""
        if n > self.free:
            raise AssertionError(f"{n} slots asked for, {self.free} free")
        self.free -= n

    def release(self, n: int = 1) -> None:
        """Give places back, and say so."""
        self.free += n
        self._freed()
