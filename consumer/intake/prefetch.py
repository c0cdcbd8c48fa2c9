"""Claims that are here before a slot is vacant. Each starts as soon as one is, or goes back after a second.

A suspect goes first: what is named when this process dies should have begun (U2).
While handlers are quick the next claim's answer then finds their slots vacant, and PostgreSQL is never waited for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sluice.consumer.periodic import EARLY
from sluice.consumer.intake.slots import UNSTARTED
from sluice.consumer.runs.quarantine import suspected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sluice.consumer.intake.pace import Pace
    from sluice.consumer.intake.slots import Slots
    from sluice.core.clock import Clock
    from sluice.core.task import Claim, ConsumerId, RunKey

_WORTH_A_CLAIM = 50
"""Tasks for which a statement of their own pays. Measured at 10 and 100 slots only."""
_AT_HAND = 200
"""Claimed and being claimed for quick handlers: one hundred runs while PostgreSQL claims the other.

A fifth more tasks a second for 10 and 100 slots than with claims for free slots alone; more slots cover it themselves.
"""


class Works(Protocol):
    """Who starts claims, in slots that are vacant, or hands them back."""

    def why_not(self, consumer: ConsumerId) -> str | None: ...
    def start(self, claims: Sequence[Claim], consumer: ConsumerId) -> None: ...
    def give_back(self, claims: Sequence[Claim], why: str) -> None: ...


class _Waiting(NamedTuple):
    claim: Claim
    consumer: ConsumerId
    since: float


class Ahead:
    """How far claims may run ahead of free slots, and what waits because they did: no more than there are slots."""

    def __init__(
        self, *, slots: Slots, pace: Pace, work: Works, clock: Clock, overdue: Callable[[], None]
    ) -> None:
        self._slots = slots
        self._pace = pace
        self._work = work
        self._clock = clock
        self._overdue = overdue
        self._waiting: deque[_Waiting] = deque()
        self._going_on = False
        self._watched = False
        self._most = max(0, min(slots.capacity, _AT_HAND - slots.capacity))

    @property
    def room(self) -> int:
        """How many more may be claimed now."""
        return self._slots.free + self._most if self._pace.fast else self._slots.free

    @property
    def at_once(self) -> int:
        """How many one claim is for: all slots, but half of many where it cannot run ahead of them.

        Quick handlers end together. Claimed by halves, one half runs here while PostgreSQL claims the other.
        """
        whole = self._slots.capacity
        runs_ahead = self._most >= min(whole, _WORTH_A_CLAIM) and self._pace.fast
        return whole if runs_ahead or whole < 2 * _WORTH_A_CLAIM else (whole + 1) // 2

    @property
    def holds_suspect(self) -> bool:
        """Whether one waits: then it is the first."""
        return bool(self._waiting) and suspected(self._waiting[0].claim)

    def keys(self) -> set[RunKey]:
        """The runs that wait."""
        return {waiting.claim.key for waiting in self._waiting}

    def put(self, claims: Sequence[Claim], consumer: ConsumerId) -> None:
        """Start what was claimed under this id where slots are vacant, and the rest as soon as they are."""
        if not self._waiting and len(claims) <= self._slots.vacant:
            self._work.start(claims, consumer)
        elif (why_not := self._work.why_not(consumer)) is not None:
            self._return(claims, why_not)
        else:
            now = self._clock()
            self._waiting.extendleft(_Waiting(claim, consumer, now) for claim in claims if suspected(claim))
            self._waiting.extend(_Waiting(claim, consumer, now) for claim in claims if not suspected(claim))
            self._start_waiting()
            self._watch()

    def vacated(self) -> None:
        """Slots are: what waits starts in the loop's next turn, with those that are vacated until then."""
        if self._waiting and not self._going_on:
            self._going_on = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def give_back(self, why: str) -> None:
        """All that waits goes back."""
        claims = [waiting.claim for waiting in self._waiting]
        self._waiting.clear()
        self._return(claims, why)

    def refuse(self) -> None:
        """What may not start any more goes back, before others take this consumer for dead (L3)."""
        for consumer in {waiting.consumer for waiting in self._waiting}:
            why_not = self._work.why_not(consumer)
            if why_not is not None:
                claims = [waiting.claim for waiting in self._waiting if waiting.consumer == consumer]
                self._waiting = deque(waiting for waiting in self._waiting if waiting.consumer != consumer)
                self._return(claims, why_not)

    def _return(self, claims: Sequence[Claim], why: str) -> None:
        if claims:
            self._work.give_back(claims, why)
            self._slots.release(len(claims))

    def _go_on(self) -> None:
        self._going_on = False
        self._start_waiting()

    def _start_waiting(self) -> None:
        """As many as there are vacant slots, those of one claim together."""
        while self._waiting and (vacant := self._slots.vacant):
            consumer = self._waiting[0].consumer
            claims: list[Claim] = []
            while self._waiting and len(claims) < vacant and self._waiting[0].consumer == consumer:
                claims.append(self._waiting.popleft().claim)
            self._work.start(claims, consumer)

    def _watch(self) -> None:
        """Look again when the oldest has waited for too long."""
        if self._waiting and not self._watched:
            self._watched = True
            asyncio.get_running_loop().call_later(self._left(), self._look)

    def _look(self) -> None:
        self._watched = False
        if self._waiting and self._left() <= EARLY:
            self._overdue()
            self.give_back("full, claimed ahead")
        self._watch()

    def _left(self) -> float:
        """How long the oldest may still wait."""
        oldest = min(waiting.since for waiting in self._waiting)
        return oldest + UNSTARTED.total_seconds() - self._clock()
