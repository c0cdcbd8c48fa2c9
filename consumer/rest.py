"""Rests after looks that PostgreSQL works long for: an old snapshot has it step over all that ended since."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING

from core.errors import Hindered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.clock import Clock


class Rest:
    """`share` times as long as a look took, `longest` seconds at most. Waiting for a silent server costs it nothing.

    What two looks in a row took is their cost. One alone may have waited for a processor, or for pages from a disk.
    """

    def __init__(self, clock: Clock, *, share: int, longest: float) -> None:
        self._clock = clock
        self._share = share
        self._longest = longest
        self._took = 0.0
        self._over_at = -math.inf
        self.seconds = 0.0
        """How long the rest after the last look is."""

    @property
    def over(self) -> bool:
        """Whether the next look may follow."""
        return self._clock() >= self._over_at

    @contextmanager
    def after_look(self) -> Iterator[None]:
        """Time the look within. One that PostgreSQL gave up for its time limit costs the longest rest."""
        began = self._clock()
        try:
            yield
        except Hindered:
            self._begin(math.inf)
            raise
        self._begin(self._clock() - began)

    def _begin(self, took: float) -> None:
        self.seconds, self._took = min(min(took, self._took) * self._share, self._longest), took
        self._over_at = self._clock() + self.seconds
