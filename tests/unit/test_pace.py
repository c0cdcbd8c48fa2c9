# mypy: disable-error-code=unreachable
# It takes a property for a constant.
from __future__ import annotations

from sluice.consumer.intake.pace import Pace


def test_handlers_are_not_fast_before_one_has_shown_it() -> None:
    pace = Pace()
    assert not pace.fast
    pace(0.001)
    assert pace.fast


def test_one_slow_handler_among_fast_ones_ends_the_look_ahead_and_fast_ones_bring_it_back() -> None:
    pace = Pace()
    for _ in range(100):
        pace(0.001)
    pace(1.0)
    assert not pace.fast

    rounds = 0
    while not pace.fast:
        pace(0.001)
        rounds += 1
    assert 10 < rounds < 100


def test_slow_handlers_never_look_ahead() -> None:
    pace = Pace()
    for _ in range(100):
        pace(0.0101)
    assert not pace.fast


def test_what_is_forgotten_has_to_be_shown_again() -> None:
    pace = Pace()
    pace(0.001)
    assert pace.fast
    pace.forget()
    assert not pace.fast
    pace(0.001)
    assert pace.fast
