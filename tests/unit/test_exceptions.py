from __future__ import annotations

import math
import pickle
from datetime import timedelta

import pytest

from sluice import Discard, Retry, Snooze
from sluice.core.task import MAX_AHEAD_DAYS

LONGEST = timedelta(days=MAX_AHEAD_DAYS)


@pytest.mark.parametrize(
    ("asked", "delay"),
    [
        (0, timedelta()),
        (1.5, timedelta(seconds=1.5)),
        (timedelta(minutes=2), timedelta(minutes=2)),
        (1e300, LONGEST),
        (timedelta.max, LONGEST),
    ],
)
def test_a_delay_is_seconds_or_a_timedelta_and_never_past_what_a_row_can_hold(
    asked: float | timedelta, delay: timedelta
) -> None:
    assert Retry(after=asked).after == delay
    assert Snooze(asked).delay == delay


@pytest.mark.parametrize("asked", [-1, math.nan, math.inf, -math.inf, timedelta(seconds=-1)])
def test_a_delay_that_is_none_is_refused_where_it_is_raised(asked: float | timedelta) -> None:
    with pytest.raises(ValueError, match="from 0 up"):
        Retry(after=asked)
    with pytest.raises(ValueError, match="from 0 up"):
        Snooze(asked)


def test_without_a_pause_the_usual_backoff_holds() -> None:
    assert Retry("rate limited").after is None
    assert str(Retry("rate limited")) == "rate limited"


@pytest.mark.parametrize(
    "raised",
    [Retry("busy", after=3), Retry(), Snooze(5), Snooze(timedelta.max), Discard("no such user")],
    ids=repr,
)
def test_what_a_handler_raises_survives_the_way_from_its_child_process(raised: Exception) -> None:
    arrived = pickle.loads(pickle.dumps(raised))  # noqa: S301 - made on this line

    assert type(arrived) is type(raised)
    assert str(arrived) == str(raised)
    assert vars(arrived) == vars(raised)
