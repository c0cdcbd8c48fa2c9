from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from sluice.core.outcome import (
    Canceled,
    Completion,
    Failed,
    Failing,
    Failure,
    Interrupted,
    Outcome,
    Return,
    Snoozed,
    Succeeded,
    TimedOut,
    Write,
)
from sluice.core.retry import RetryPolicy, verdict
from sluice.core.task import JsonText
from tests.unit.support import claim

BROKEN = Failure("ValueError", "broken")
LATE = Failure("Timeout", "did not end within 1.5 s")


class Half(Random):
    """A random source that always says one half."""

    def random(self) -> float:
        return 0.5


def judge(outcome: Outcome, *, attempt: int = 1, max_attempts: int = 5) -> Write:
    return verdict(outcome, claim(attempt=attempt, max_attempts=max_attempts), random=Half())


def retry(failure: Failure, delay: timedelta) -> Failing:
    return Failing(claim().id, claim().token, failure, delay)


def final(failure: Failure) -> Failing:
    return Failing(claim().id, claim().token, failure, None)


def back(delay: timedelta = timedelta(), *, canceled: bool = False) -> Return:
    return Return(claim().id, claim().token, delay, canceled=canceled)


def test_a_success_is_written_with_its_result() -> None:
    assert judge(Succeeded(JsonText("1")), attempt=5) == Completion(claim().id, claim().token, JsonText("1"))


@pytest.mark.parametrize(
    ("attempt", "pause"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (12, 1024.0), (13, 1800.0), (99, 1800.0)]
)
def test_the_pause_after_a_failure_doubles_up_to_an_hour(attempt: int, pause: float) -> None:
    assert judge(Failed(BROKEN), attempt=attempt, max_attempts=100) == retry(BROKEN, timedelta(seconds=pause))


def test_the_last_try_fails_for_good() -> None:
    assert judge(Failed(BROKEN), attempt=4) == retry(BROKEN, timedelta(seconds=4))
    assert judge(Failed(BROKEN), attempt=5) == final(BROKEN)
    assert judge(Failed(BROKEN), attempt=1, max_attempts=1) == final(BROKEN)


def test_a_pause_that_the_handler_asked_for_replaces_the_backoff_but_grants_no_further_try() -> None:
    asked = Failed(BROKEN, retry_after=timedelta())

    assert judge(asked) == retry(BROKEN, timedelta())
    assert judge(asked, attempt=5) == final(BROKEN)


def test_a_final_failure_leaves_no_try_whatever_is_left() -> None:
    assert judge(Failed(BROKEN, timedelta(seconds=1), final=True)) == final(BROKEN)


def test_a_timeout_is_a_failure_that_says_after_how_long() -> None:
    late = TimedOut(timedelta(seconds=1.5))

    assert judge(late) == retry(LATE, timedelta(seconds=0.5))
    assert judge(late, attempt=5) == final(LATE)


@pytest.mark.parametrize("attempt", [1, 5])
def test_what_is_no_fault_of_the_handler_is_not_charged(attempt: int) -> None:
    assert judge(Snoozed(timedelta(hours=2)), attempt=attempt) == back(timedelta(hours=2))
    assert judge(Interrupted(), attempt=attempt) == back()
    assert judge(Canceled(), attempt=attempt) == back(canceled=True)


def test_the_policy_can_be_another_one() -> None:
    policy = RetryPolicy(base=timedelta(milliseconds=10), ceiling=timedelta(milliseconds=25))

    assert [policy.backoff(attempt, Half()) for attempt in (1, 2, 3)] == [
        timedelta(milliseconds=5),
        timedelta(milliseconds=10),
        timedelta(milliseconds=12.5),
    ]
