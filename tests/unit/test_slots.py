from __future__ import annotations

import pytest

from sluice.consumer.intake.slots import Slots


def test_places_are_taken_and_released_and_a_release_is_told() -> None:
    told: list[int] = []
    slots = Slots(3, lambda: told.append(slots.free))

    slots.take(2)
    assert (slots.capacity, slots.free, slots.vacant, told) == (3, 1, 3, [])

    slots.release()
    slots.release(1)
    assert (slots.free, told) == (3, [2, 3])


def test_a_place_that_a_handler_vacates_is_free_again_and_that_is_told() -> None:
    told: list[tuple[int, int]] = []
    slots = Slots(3, lambda: told.append((slots.free, slots.vacant)))

    slots.take(2)
    slots.occupy(2)
    assert (slots.free, slots.vacant, slots.busy, told) == (1, 1, 2, [])

    slots.vacate()
    assert (slots.busy, told) == (1, [(2, 2)])


def test_claims_may_be_promised_more_places_than_there_are_but_handlers_never_have_them() -> None:
    slots = Slots(2, lambda: None)
    slots.take(3)
    assert slots.free == -1

    slots.occupy(2)
    with pytest.raises(AssertionError, match="1 handlers want to start, 0 may"):
        slots.occupy(1)
    assert (slots.busy, slots.vacant) == (2, 0)
