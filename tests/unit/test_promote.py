from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from consumer.upkeep import promote as module
from consumer.upkeep.promote import from_place, to_place
from core.events import UpkeepDone
from db.upkeep import BEGINNING, Place
from tests.unit.promoting import Scene
from tests.unit.support import now, task_id, virtual


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
async def test_a_row_that_is_told_of_is_pushed_in_time_though_no_turn_was_due() -> None:
    s = Scene()

    def submit() -> None:
        s.add(1, 2.4)
        s.promote.hurry(timedelta(seconds=0.3))

    asyncio.get_running_loop().call_later(2.1, submit)
    await s.run(until=4)

    [(_, moment)] = s.store.pushed
    assert 2.4 <= moment < 2.44


@virtual
async def test_of_several_that_are_told_of_the_earliest_counts() -> None:
    s = Scene()

    def submit() -> None:
        s.add(1, 2.2)
        for due_in in (0.9, 0.1, 0.5):
            s.promote.hurry(timedelta(seconds=due_in))

    asyncio.get_running_loop().call_later(2.1, submit)
    await s.run(until=4)
    [(_, moment)] = s.store.pushed
    assert 2.2 <= moment < 2.23


@virtual
async def test_news_of_later_rows_puts_off_no_row_that_is_due_sooner() -> None:
    s = Scene()

    async def submit(number: int, due_in: float) -> None:
        s.add(number, now() + due_in)
        s.promote.hurry(timedelta(seconds=due_in))

    async def many() -> None:
        await asyncio.sleep(2.1)
        await submit(1, 0.3)
        for number in range(2, 200):
            await asyncio.sleep(0.05)
            await submit(number, 0.9)

    async with asyncio.TaskGroup() as group:
        group.create_task(many())
        group.create_task(s.run(until=14))

    assert len(s.pushed) == 199
    assert max(moment - s.store.rows[task_id(number)] for number, moment in s.store.pushed) < 0.06


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
async def test_a_row_that_becomes_visible_late_is_found_behind_the_cursor() -> None:
    s = Scene(row1=0.5, row9=4.0)
    asyncio.get_running_loop().call_later(4.5, lambda: s.add(2, 3.0))
    await s.run(until=7)
    assert s.pushed == [1, 9, 2]


@virtual
async def test_the_last_two_seconds_are_what_another_process_may_push_again_and_no_more() -> None:
    s = Scene(row1=0.5, row2=3.0, row3=4.0)
    await s.run(until=4.5)
    del s.store.pushed[:]
    await asyncio.sleep(1.0)
    await s.another().step()
    assert sorted(s.pushed) == [2, 3]


@virtual
async def test_more_than_a_chunk_goes_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 3)
    s = Scene(**{f"row{number}": 0.5 + number / 1e6 for number in range(1, 11)})
    await s.run(until=2)
    assert s.pushed == list(range(1, 11))
    assert s.store.pushed[-1][1] < 0.6


@virtual
async def test_the_cursor_moves_only_when_the_push_was_answered() -> None:
    s = Scene(row1=0.1)
    s.store.away = True
    asyncio.get_running_loop().call_later(3, lambda: setattr(s.store, "away", False))
    await s.run(until=6)
    assert s.pushed == [1]


@virtual
async def test_what_was_pushed_is_remembered_no_longer_than_it_is_looked_for() -> None:
    s = Scene(**{f"row{number}": float(number) for number in range(1, 60)})
    await s.run(until=61)
    assert len(s.pushed) == 59
    assert len(s.promote._pushed) <= 6


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
