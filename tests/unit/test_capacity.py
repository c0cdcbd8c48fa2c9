# mypy: disable-error-code=unreachable
# It takes a property for a constant.
from __future__ import annotations

import pytest

from sluice.consumer.intake.capacity import Capacity


def test_places_are_taken_and_released_and_a_release_is_told() -> None:
    told: list[int] = []
    capacity = Capacity(3)
    capacity.when_freed(lambda: told.append(capacity.free))

    capacity.take(2)
    assert (capacity.slots, capacity.free, capacity.vacant, told) == (3, 1, 3, [])

    capacity.release()
    capacity.release(1)
    assert (capacity.free, told) == (3, [2, 3])


def test_a_place_that_a_handler_vacates_is_free_again_and_that_is_told() -> None:
    told: list[tuple[int, int]] = []
    capacity = Capacity(3)
    capacity.when_freed(lambda: told.append((capacity.free, capacity.vacant)))

    capacity.take(2)
    capacity.occupy(2)
    assert (capacity.free, capacity.vacant, capacity.busy, told) == (1, 1, 2, [])

    capacity.vacate()
    assert (capacity.busy, told) == (1, [(2, 2)])


def test_claims_may_be_promised_more_places_than_there_are_but_handlers_never_have_them() -> None:
    capacity = Capacity(2)
    capacity.take(3)
    assert capacity.free == -1

    capacity.occupy(2)
    with pytest.raises(AssertionError, match="1 handlers want to start, 0 may"):
        capacity.occupy(1)
    assert (capacity.busy, capacity.vacant) == (2, 0)


def test_handlers_are_not_fast_before_one_has_shown_it() -> None:
    capacity = Capacity(2)
    assert not capacity.fast
    capacity.took(0.001)
    assert capacity.fast


def test_one_slow_handler_among_fast_ones_ends_the_prefetching_and_fast_ones_bring_it_back() -> None:
    capacity = Capacity(2)
    for _ in range(100):
        capacity.took(0.001)
    capacity.took(1.0)
    assert not capacity.fast

    rounds = 0
    while not capacity.fast:
        capacity.took(0.001)
        rounds += 1
    assert 10 < rounds < 100


def test_for_slow_handlers_nothing_is_prefetched() -> None:
    capacity = Capacity(2)
    for _ in range(100):
        capacity.took(0.0101)
    assert not capacity.fast


def test_what_was_overestimated_has_to_be_shown_again() -> None:
    capacity = Capacity(2)
    capacity.took(0.001)
    assert capacity.fast
    capacity.overestimated()
    assert not capacity.fast
    capacity.took(0.001)
    assert capacity.fast
