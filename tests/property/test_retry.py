from __future__ import annotations

from datetime import timedelta
from random import Random

import hypothesis.strategies as st
from hypothesis import given

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
)
from sluice.core.retry import RetryPolicy, verdict
from sluice.core.task import MAX_ATTEMPTS
from tests.unit.support import claim

NEVER, LONGEST = timedelta(), timedelta(days=3653)
delays = st.timedeltas(NEVER, LONGEST)
policies = st.builds(
    RetryPolicy,
    base=st.timedeltas(timedelta(microseconds=1), timedelta(hours=1)),
    ceiling=st.timedeltas(timedelta(seconds=1), timedelta(days=1)),
)
failures = st.builds(Failure, st.text(max_size=5), st.text(max_size=5))
outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Succeeded, st.none()),
    st.builds(Failed, failures, st.none() | delays, st.booleans()),
    st.builds(TimedOut, delays),
    st.builds(Snoozed, delays),
    st.just(Canceled()),
    st.just(Interrupted()),
)


class Luck(Random):
    """Always says the same."""

    def __init__(self, says: float) -> None:
        super().__init__()
        self._says = says

    def random(self) -> float:
        return self._says


@given(policies, st.integers(1, 1000), st.randoms(use_true_random=False))
def test_a_pause_lies_between_nothing_and_the_ceiling(
    policy: RetryPolicy, attempt: int, random: Random
) -> None:
    assert NEVER <= policy.backoff(attempt, random) <= policy.ceiling


@given(policies, st.integers(1, 1000))
def test_the_longest_pause_never_shrinks_and_at_most_doubles(policy: RetryPolicy, attempt: int) -> None:
    this, following = (policy.backoff(number, Luck(1.0)) for number in (attempt, attempt + 1))
    assert this <= following <= 2 * this


@given(policies)
def test_the_first_pause_is_at_most_the_base(policy: RetryPolicy) -> None:
    assert policy.backoff(1, Luck(1.0)) == min(policy.base, policy.ceiling)


@given(policies, st.integers(1, 200), st.floats(0, 1), st.floats(0, 1))
def test_more_luck_is_a_shorter_pause(policy: RetryPolicy, attempt: int, one: float, other: float) -> None:
    shorter, longer = sorted((one, other))
    assert policy.backoff(attempt, Luck(shorter)) <= policy.backoff(attempt, Luck(longer))


@given(outcomes, st.integers(1, MAX_ATTEMPTS), st.integers(1, MAX_ATTEMPTS), st.floats(0, 1))
def test_what_follows_from_an_outcome(outcome: Outcome, attempt: int, max_attempts: int, luck: float) -> None:
    held = claim(attempt=attempt, max_attempts=max_attempts)
    found = verdict(outcome, held, random=Luck(luck))

    assert (found.id, found.token) == held.key
    assert isinstance(found, Completion) == isinstance(outcome, Succeeded)
    assert isinstance(found, Return) == isinstance(outcome, Snoozed | Canceled | Interrupted)
    if isinstance(found, Failing) and found.delay is not None:
        assert attempt < max_attempts
        assert found.delay >= NEVER
    if isinstance(found, Failing) and found.delay is None:
        assert attempt >= max_attempts or (isinstance(outcome, Failed) and outcome.final)
    if isinstance(outcome, Failed) and isinstance(found, Failing):
        assert found.failure is outcome.failure
