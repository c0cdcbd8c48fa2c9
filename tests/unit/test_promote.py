from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from sluice.consumer.upkeep import promote as module
from sluice.consumer.upkeep.promote import from_place, to_place
from sluice.core.audience import Audiences
from sluice.core.events import UpkeepDone
from sluice.db.rows import Place
from sluice.db.upkeep import BEGINNING
from tests.unit.promoting import KIND, QUEUE, Scene, at
from tests.unit.support import task_id, virtual


@virtual
async def test_a_row_is_pushed_when_it_falls_due_and_never_before() -> None:
    due = {1: 0.5, 2: 0.503, 3: 1.7, 4: 3.0, 5: 3.001, 6: 7.77}
    s = Scene(**{f"row{number}": moment for number, moment in due.items()})

    await s.run(until=10)

    assert s.pushed == [1, 2, 3, 4, 5, 6]
    late = [moment - due[number] for number, moment in s.store.pushed]
    assert 0 <= min(late) <= max(late) < 0.06
    assert sum(event.n for event in s.events.of(UpkeepDone)) == 6


@virtual
async def test_it_never_sleeps_longer_than_a_second_whatever_it_was_told() -> None:
    s = Scene()
    assert await s.promote.step() == timedelta(seconds=1)
    s.add(1, 500.0)
    await asyncio.sleep(1.1)
    assert await s.promote.step() == timedelta(seconds=1)


@virtual
async def test_who_does_not_win_the_turn_does_nothing() -> None:
    s = Scene(row1=0.0)
    await s.promote.step()
    other = s.another()
    assert await other.step() == timedelta(seconds=1)
    assert s.pushed == [1]


@virtual
async def test_what_was_just_pushed_is_not_pushed_again_though_it_still_waits() -> None:
    s = Scene(row1=0.5, row2=1.0, row3=1.5)
    await s.run(until=8)
    assert s.pushed == [1, 2, 3]


@virtual
async def test_another_process_goes_on_behind_what_was_pushed() -> None:
    s = Scene(row1=0.5, row2=3.0, row3=4.0)
    await s.run(until=4.5)
    del s.store.pushed[:]
    s.add(4, 4.7)
    for _ in range(5):
        await asyncio.sleep(1.0)
        await s.another().step()
    assert s.pushed == [4]


@virtual
async def test_a_row_that_nobody_alive_serves_is_passed_by() -> None:
    s = Scene(row1=0.5)
    s.audiences = Audiences()
    await s.run(until=2)
    assert s.pushed == []
    assert s.store.cursor != {}
    assert s.audiences.unserved.missed == [(QUEUE, KIND)], "for the log"
    assert s.events.of(UpkeepDone) == []


@virtual
async def test_more_than_a_chunk_goes_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 3)
    s = Scene(**{f"row{number}": 0.5 + number / 1e6 for number in range(1, 11)})
    await s.run(until=2)
    assert s.pushed == list(range(1, 11))
    assert s.store.pushed[-1][1] < 0.6


@virtual
async def test_a_row_that_falls_due_before_where_another_clock_had_stopped_is_pushed_on_time() -> None:
    """The clock stepped back: the cursor lies a minute ahead, and what is submitted from now on falls due before it."""
    s = Scene(row1=5.0, row2=61.0)
    s.store.cursor = from_place(Place(at(60.0), task_id(9)))

    await s.run(until=10)

    [(pushed, moment)] = s.store.pushed
    assert pushed == 1
    assert 5.0 <= moment < 5.06


@virtual
async def test_after_a_step_back_each_row_is_pushed_once_by_the_stepped_clock() -> None:
    s = Scene(row1=60.5)
    s.store.ahead = 60.0

    def step() -> None:
        s.store.ahead = 0.0
        s.add(2, 5.0)
        s.add(3, 5.001)
        s.add(4, 7.7)

    asyncio.get_running_loop().call_later(3, step)
    await s.run(until=10)

    assert s.pushed == [1, 2, 3, 4]
    late = [moment - s.store.rows[task_id(number)] for number, moment in s.store.pushed]
    assert 0 <= min(late) <= max(late) < 0.06


@virtual
async def test_after_a_step_ahead_the_next_turn_pushes_once_what_fell_due_in_the_time_left_out() -> None:
    s = Scene(row1=0.5, row2=4.2, row3=59.0, row4=68.0)
    asyncio.get_running_loop().call_later(3, lambda: setattr(s.store, "ahead", 60.0))
    await s.run(until=10)

    assert s.pushed == [1, 2, 3, 4]
    [_, second, third, fourth] = [moment for _, moment in s.store.pushed]
    assert 63.0 <= second == third <= 64.0
    assert 68.0 <= fourth < 68.06


@virtual
async def test_the_cursor_moves_only_when_the_push_was_answered() -> None:
    s = Scene(row1=0.1)
    s.store.away = True
    asyncio.get_running_loop().call_later(3, lambda: setattr(s.store, "away", False))
    await s.run(until=6)
    assert s.pushed == [1]


@virtual
async def test_rows_that_fall_due_one_upon_the_other_share_turns() -> None:
    s = Scene(**{f"row{number}": 0.5 + number / 1000 for number in range(20)})
    await s.run(until=0.9)
    assert s.pushed == list(range(20))
    assert s.store.turns < 8


@virtual
async def test_with_nothing_to_do_it_writes_no_cursor_and_takes_one_turn_a_second() -> None:
    s = Scene()
    await s.run(until=20)
    assert s.store.cursor == {}
    assert 18 <= s.store.turns <= 20


def test_a_place_survives_being_stored() -> None:
    place = Place(datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), task_id(7))
    assert to_place(from_place(place)) == place
    assert to_place({}) == BEGINNING
