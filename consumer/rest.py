"""Rests after looks that PostgreSQL works long for: an old snapshot has it step over all that ended since."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sluice.core.errors import Hindered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sluice.core.clock import Clock


class Rest:
    """Follows each look, and is as long as its cost asks for. Waiting for a silent server costs PostgreSQL nothing.

    What two looks in a row took is their cost. One alone may have waited for a processor, or for pages from a disk;
    one that PostgreSQL gave up for its time limit is witness enough.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._took = 0.0
        self._over_at = -math.inf
        self.seconds = 0.0
        """How long the rest after the last look is."""

    @property
    def left(self) -> float:
        """Seconds until the next look may follow; not above 0 when it may."""
        return self._over_at - self._clock()

    @contextmanager
    def after_look(self, length: Callable[[float], float]) -> Iterator[None]:
        """Time the look within. `length`: the seconds to rest after a look that cost so many."""
        began = self._clock()
        try:
            yield
        except Hindered:
            self._took = math.inf
            self._begin(began, length)
            raise
        self._begin(began, length)

    def _begin(self, began: float, length: Callable[[float], float]) -> None:
        now = self._clock()
        took, before = now - began, self._took
        self._took, self.seconds = took, length(min(took, before))
        self._over_at = now + self.seconds
