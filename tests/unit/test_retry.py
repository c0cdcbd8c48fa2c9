from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from sluice.core.outcome import Canceled, Failed, Failure, Interrupted, Snoozed, TimedOut, Unsuccessful
from sluice.core.retry import (
    FailForGood,
    GiveBack,
    RetryLater,
    RetryPolicy,
    Verdict,
    verdict,
)

BROKEN = Failure("ValueError", "broken")
LATE = Failure("Timeout", "did not end within 1.5 s")


class Half(Random):
    """A random source that always says one half."""

    def random(self) -> float:
        return 0.5


def judge(outcome: Unsuccessful, *, attempt: int = 1, max_attempts: int = 5) -> Verdict:
    return verdict(outcome, attempt=attempt, max_attempts=max_attempts, random=Half())


@pytest.mark.parametrize(
    ("attempt", "pause"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (12, 1024.0), (13, 1800.0), (99, 1800.0)]
)
def test_the_pause_after_a_failure_doubles_up_to_an_hour(attempt: int, pause: float) -> None:
    assert judge(Failed(BROKEN), attempt=attempt, max_attempts=100) == RetryLater(
        BROKEN, timedelta(seconds=pause)
    )


def test_the_last_try_fails_for_good() -> None:
    assert isinstance(judge(Failed(BROKEN), attempt=4), RetryLater)
    assert judge(Failed(BROKEN), attempt=5) == FailForGood(BROKEN)
    assert judge(Failed(BROKEN), attempt=1, max_attempts=1) == FailForGood(BROKEN)


def test_a_pause_that_the_handler_asked_for_replaces_the_backoff_but_grants_no_further_try() -> None:
    asked = Failed(BROKEN, retry_after=timedelta())

    assert judge(asked) == RetryLater(BROKEN, timedelta())
    assert judge(asked, attempt=5) == FailForGood(BROKEN)


def test_a_final_failure_leaves_no_try_whatever_is_left() -> None:
    assert judge(Failed(BROKEN, timedelta(seconds=1), final=True)) == FailForGood(BROKEN)


def test_a_timeout_is_a_failure_that_says_after_how_long() -> None:
    late = TimedOut(timedelta(seconds=1.5))

    assert judge(late) == RetryLater(LATE, timedelta(seconds=0.5))
    assert judge(late, attempt=5) == FailForGood(LATE)


@pytest.mark.parametrize("attempt", [1, 5])
def test_what_is_no_fault_of_the_handler_is_not_charged(attempt: int) -> None:
    assert judge(Snoozed(timedelta(hours=2)), attempt=attempt) == GiveBack(timedelta(hours=2))
    assert judge(Interrupted(), attempt=attempt) == GiveBack(timedelta())
    assert judge(Canceled(), attempt=attempt) == GiveBack(timedelta())


def test_the_policy_can_be_another_one() -> None:
    policy = RetryPolicy(base=timedelta(milliseconds=10), ceiling=timedelta(milliseconds=25))

    assert [policy.backoff(attempt, Half()) for attempt in (1, 2, 3)] == [
        timedelta(milliseconds=5),
        timedelta(milliseconds=10),
        timedelta(milliseconds=12.5),
    ]
