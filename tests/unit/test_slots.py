from __future__ import annotations

import pytest

from consumer.slots import Slots


def test_slots_are_taken_and_released_and_a_release_is_told() -> None:
    told: list[int] = []
    slots = Slots(3, lambda: told.append(slots.free))

    slots.take(2)
    assert (slots.capacity, slots.free, told) == (3, 1, [])

    slots.release()
    slots.release(1)
    assert (slots.free, told) == (3, [2, 3])


def test_more_slots_than_are_free_cannot_be_taken() -> None:
    slots = Slots(2, lambda: None)
    slots.take(1)

    with pytest.raises(AssertionError, match="2 slots asked for, 1 free"):
        slots.take(2)
    assert slots.free == 1
