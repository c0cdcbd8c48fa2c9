"""What the nemesis does to stores that are up, tried on real ones: each fault does its harm, and is healed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.chaos.store_faults import moved_back

MINUTE = timedelta(minutes=1)


def test_a_step_of_the_clock_moves_every_instant_of_a_cursor_and_nothing_else() -> None:
    cursor = {
        "run_at": "2026-01-01T00:01:00.500000+00:00",
        "lists": [{"began": "2026-01-01T00:02:00+00:00", "id": "0190163d-8694-739b-aea5-966c26f8ad91"}],
        "name": "The Tasks",
        "n": 3,
        "none": None,
    }
    moved = moved_back(cursor, MINUTE)
    assert moved == {
        **cursor,
        "run_at": "2026-01-01T00:00:00.500000+00:00",
        "lists": [{**cursor["lists"][0], "began": "2026-01-01T00:01:00+00:00"}],  # type: ignore[index]
    }
    assert moved_back(moved, -MINUTE) == cursor


@pytest.mark.parametrize("end", ["0001-01-01T00:00:01+00:00", "0001-01-02T00:00:00+00:00"])
def test_an_instant_at_the_end_of_time_stays_where_it_is(end: str) -> None:
    assert moved_back({"run_at": end}, MINUTE) == {"run_at": end}
