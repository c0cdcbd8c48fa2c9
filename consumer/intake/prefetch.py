"""Claims that are prefetched, before a slot is vacant. Each starts as soon as one is, or goes back after a second.

While handlers are quick the next claim's answer then finds their slots vacant, and PostgreSQL is never waited for. A
suspect goes first: what is named when this process dies should have begun (U2 reap).
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sluice.consumer.intake.capacity import UNSTARTED
from sluice.core.outcome import Reason
from sluice.core.waiting import EARLY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sluice.consumer.intake.capacity import Capacity
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

    def why_not(self, consumer: ConsumerId) -> Reason | None: ...
    def start(self, claims: Sequence[Claim], consumer: ConsumerId) -> None: ...
    def give_back(self, claims: Sequence[Claim], why: Reason) -> None: ...


class _Waiting(NamedTuple):
    claim: Claim
    consumer: ConsumerId
    since: float


class Prefetch:
    """How many claims may come before slots are free, and those that wait for one: no more than there are slots."""

    def __init__(self, *, capacity: Capacity, work: Works, clock: Clock) -> None:
        self._capacity = capacity
        self._work = work
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._starting = False
        self._watched = False
        self._most = max(0, min(capacity.slots, _AT_HAND - capacity.slots))
        capacity.when_freed(self._start_soon)

    @property
    def room(self) -> int:
        """How many more may be claimed now."""
        return self._capacity.free + self._most if self._capacity.fast else self._capacity.free

    @property
    def at_once(self) -> int:
        """How many one claim is for: all slots, but half of many where none can be prefetched.

        Quick handlers end together. Claimed by halves, one half runs here while PostgreSQL claims the other.
        """
        whole = self._capacity.slots
        prefetches = self._most >= min(whole, _WORTH_A_CLAIM) and self._capacity.fast
        return whole if prefetches or whole < 2 * _WORTH_A_CLAIM else (whole + 1) // 2

    @property
    def holds_suspect(self) -> bool:
        """Whether one waits: then it is the first."""
        return bool(self._waiting) and self._waiting[0].claim.suspected

    def keys(self) -> set[RunKey]:
        """Return the runs that wait."""
        return {waiting.claim.key for waiting in self._waiting}

    def put(self, claims: Sequence[Claim], consumer: ConsumerId) -> None:
        """Start what was claimed under this id, where slots are vacant; the rest as soon as they are."""
        if not self._waiting and len(claims) <= self._capacity.vacant:
            self._work.start(claims, consumer)
        elif (why_not := self._work.why_not(consumer)) is not None:
            self._return(claims, why_not)
        else:
            now = self._clock()
            self._waiting.extendleft(_Waiting(claim, consumer, now) for claim in claims if claim.suspected)
            self._waiting.extend(_Waiting(claim, consumer, now) for claim in claims if not claim.suspected)
            self._start_waiting()
            self._watch()

    def give_back(self, why: Reason) -> None:
        """Hand all back that waits."""
        claims = [waiting.claim for waiting in self._waiting]
        self._waiting.clear()
        self._return(claims, why)

    def refuse(self) -> None:
        """Hand back what may not start any more, before others take this consumer for dead (L3 trust)."""
        for consumer in {waiting.consumer for waiting in self._waiting}:
            why_not = self._work.why_not(consumer)
            if why_not is not None:
                claims = [waiting.claim for waiting in self._waiting if waiting.consumer == consumer]
                self._waiting = deque(waiting for waiting in self._waiting if waiting.consumer != consumer)
                self._return(claims, why_not)

    def _return(self, claims: Sequence[Claim], why: Reason) -> None:
        if claims:
            self._work.give_back(claims, why)
            self._capacity.release(len(claims))

    def _start_soon(self) -> None:
        """Start what waits in the loop's next turn, with the slots that are vacated until then."""
        if self._waiting and not self._starting:
            self._starting = True
            asyncio.get_running_loop().call_soon(self._start_waiting)

    def _start_waiting(self) -> None:
        """Start as many as there are vacant slots, those of one claim together."""
        self._starting = False
        while self._waiting and (vacant := self._capacity.vacant):
            consumer = self._waiting[0].consumer
            claims: list[Claim] = []
            while self._waiting and len(claims) < vacant and self._waiting[0].consumer == consumer:
                claims.append(self._waiting.popleft().claim)
            self._work.start(claims, consumer)

    def _watch(self) -> None:
        """Check again when the oldest has waited for too long."""
        if self._waiting and not self._watched:
            self._watched = True
            asyncio.get_running_loop().call_later(self._left(), self._check)

    def _check(self) -> None:
        self._watched = False
        if self._waiting and self._left() <= EARLY:
            self._capacity.overestimated()
            self.give_back(Reason.PREFETCHED)
        self._watch()

    def _left(self) -> float:
        """Return how long the oldest may still wait."""
        oldest = min(waiting.since for waiting in self._waiting)
        return oldest + UNSTARTED.total_seconds() - self._clock()
