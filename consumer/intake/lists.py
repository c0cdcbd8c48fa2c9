"""Which ready lists this consumer pops, and in which order. Follows who is alive; speaks to no store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sluice.core.audience import ready_list
from sluice.core.task import PRIORITIES

if TYPE_CHECKING:
    from sluice.core.audience import Audiences, Signature
    from sluice.core.clock import Clock
    from sluice.core.task import ReadyList

MOST_STREAMS = 24
"""Streams that one pop asks, ten lists each. Where there are more they take turns."""
LINGERS_SECONDS = 60.0
"""How long a stream is heard after its audience is gone: others may not know that yet, and hints may lie there."""


class KnowsAudiences(Protocol):
    """Who knows which consumers are alive."""

    @property
    def audiences(self) -> Audiences: ...


class Lists:
    """The streams that are for this consumer; each has a list for every priority."""

    def __init__(self, me: Signature, roster: KnowsAudiences, clock: Clock) -> None:
        self._me = me
        self._roster = roster
        self._clock = clock
        self._followed = roster.audiences
        self._current: set[str] = set()
        self._former: dict[str, float] = {}
        self._streams: list[str] = []
        self._turn = 0
        self._turns: dict[int, list[ReadyList]] = {}
        self._follow(roster.audiences)

    def _follow(self, audiences: Audiences) -> None:
        """Take note of who is alive now."""
        now = self._clock()
        self._followed = audiences
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
        """Return the lists to pop now: the highest priority first, and within it another stream first each time."""
        if self._roster.audiences is not self._followed:
            self._follow(self._roster.audiences)
        self._turn = (self._turn + 1) % len(self._streams)
        found = self._turns.get(self._turn)
        if found is None:
            turned = [*self._streams[self._turn :], *self._streams[: self._turn]][:MOST_STREAMS]
            found = [ready_list(stream, priority) for priority in reversed(PRIORITIES) for stream in turned]
            self._turns[self._turn] = found
        return found
