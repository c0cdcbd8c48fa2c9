"""What is written of an attempt: pure, the random source an argument. Touches no store and no clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from sluice.core.outcome import (
    Canceled,
    Completion,
    Failed,
    Failing,
    Interrupted,
    Outcome,
    Return,
    Snoozed,
    Succeeded,
    TimedOut,
    Write,
)

if TYPE_CHECKING:
    from random import Random

    from sluice.core.task import Claim


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Full jitter: uniform(0, min(ceiling, base * 2^(attempt-1))).

    The form is that of "Exponential Backoff And Jitter" (Marc Brooker, AWS Architecture Blog, 2015).
    """

    base: timedelta = timedelta(seconds=1)
    ceiling: timedelta = timedelta(hours=1)

    def backoff(self, attempt: int, random: Random) -> timedelta:
        """The pause before the try that follows try number `attempt` (from 1)."""
        doublings = min(max(attempt, 1) - 1, 32)  # 2^32 base units are past any ceiling; more would overflow
        longest: timedelta = min(self.ceiling, self.base * 2**doublings)
        return longest * random.random()


DEFAULT_POLICY = RetryPolicy()


def verdict(outcome: Outcome, claim: Claim, *, random: Random, policy: RetryPolicy = DEFAULT_POLICY) -> Write:
    """Return what to write for `outcome` of the attempt that `claim` is."""
    match outcome:
        case Succeeded():  # not `Succeeded(result)`: that takes three times as long, for every task
            return Completion(claim.id, claim.token, outcome.result)
        case Failed(failure, retry_after, final):
            if final or claim.attempt >= claim.max_attempts:
                return Failing(claim.id, claim.token, failure, None)
            delay = policy.backoff(claim.attempt, random) if retry_after is None else retry_after
            return Failing(claim.id, claim.token, failure, delay)
        case TimedOut():
            return verdict(Failed(outcome.failure), claim, random=random, policy=policy)
        case Snoozed(delay):
            return Return(claim.id, claim.token, delay)
        case Canceled():
            return Return(claim.id, claim.token, canceled=True)
        case Interrupted():
            return Return(claim.id, claim.token)
        case _:
            assert_never(outcome)
