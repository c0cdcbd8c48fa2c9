"""What follows from a try that did not succeed: pure, the random source an argument. Touches no store and no clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from sluice.core.outcome import Canceled, Failed, Failure, Interrupted, Snoozed, TimedOut, Unsuccessful

if TYPE_CHECKING:
    from random import Random


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


@dataclass(frozen=True, slots=True)
class RetryLater:
    """This try failed; the next may start after `delay`."""

    failure: Failure
    delay: timedelta


@dataclass(frozen=True, slots=True)
class FailForGood:
    """The task has failed and no try is left."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class GiveBack:
    """The try ended by no fault of the handler: pending again after `delay`, the attempt handed back."""

    delay: timedelta = timedelta()


Verdict = RetryLater | FailForGood | GiveBack


def verdict(
    outcome: Unsuccessful,
    *,
    attempt: int,
    max_attempts: int,
    random: Random,
    policy: RetryPolicy = DEFAULT_POLICY,
) -> Verdict:
    """What to write for `outcome` of try number `attempt` out of `max_attempts`."""
    match outcome:
        case Failed(failure, final=True):
            return FailForGood(failure)
        case Failed(failure, retry_after):
            if attempt >= max_attempts:
                return FailForGood(failure)
            return RetryLater(
                failure, policy.backoff(attempt, random) if retry_after is None else retry_after
            )
        case TimedOut():
            failed = Failed(outcome.failure)
            return verdict(failed, attempt=attempt, max_attempts=max_attempts, random=random, policy=policy)
        case Snoozed(delay):
            return GiveBack(delay)
        case Canceled() | Interrupted():
            return GiveBack()
        case _:
            assert_never(outcome)
