"""Which ready lists this consumer pops, and in which order. Follows who is alive; speaks to no store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluice.core.audience import Audiences, ready_list
from sluice.core.task import PRIORITIES

if TYPE_CHECKING:
    from sluice.core.audience import Signature
    from sluice.core.clock import Clock
    from sluice.core.task import ReadyList

MOST_STREAMS = 24
"""Streams that one pop asks, ten lists each. Where there are more they take turns."""
LINGERS_SECONDS = 60.0
"""How long a stream is heard after its audience is gone: others may not know that yet, and hints may lie there."""


class Lists:
    """The streams that are for this consumer; each has a list for every priority."""

    def __init__(self, me: Signature, clock: Clock) -> None:
        self._me = me
        self._clock = clock
        self._current: set[str] = set()
        self._former: dict[str, float] = {}
        self._streams: list[str] = []
        self._turn = 0
        self._turns: dict[int, list[ReadyList]] = {}
        self.follow(Audiences())

    def follow(self, audiences: Audiences) -> None:
        """Take note of who is alive now."""
        now = self._clock()
        current = set(audiences.streams(self._me))
        self._former |= dict.fromkeys(self._current - current, now)
        self._former = {
            name: gone_at
            for name, gone_at in self._former.items()
            if now - gone_at <= LINGERS_SECONDS and name not in current
        }
        self._current = current
        self._streams = sorted(current | self._former.keys())
        self._turns.clear()

    def next(self) -> list[ReadyList]:
        """The lists to ask now: the highest priority first, and within it another stream first each time."""
        self._turn = (self._turn + 1) % len(self._streams)
        found = self._turns.get(self._turn)
        if found is None:
            turned = [*self._streams[self._turn :], *self._streams[: self._turn]][:MOST_STREAMS]
            found = [ready_list(stream, priority) for priority in reversed(PRIORITIES) for stream in turned]
            self._turns[self._turn] = found
        return found
