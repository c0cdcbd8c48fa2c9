from __future__ import annotations

from datetime import timedelta

import pytest

from consumer.upkeep.republish import PERIOD, Lap, Republish
from db.upkeep import BEGINNING
from tests.unit.republishing import LEASE, LIST, START, Scene
from tests.unit.support import task_id, virtual

pytestmark = pytest.mark.usefixtures("small_chunks")


@virtual
async def test_a_refill_goes_on_chunk_by_chunk_and_soon() -> None:
    s = Scene()
    s.pending(range(1, 36), listed=False)
    waits = [await s.turn()]
    while waits[-1] < PERIOD:
        for number in s.listed:  # consumers are fast
            del s.stores.rows[LIST][task_id(number)]
        s.stores.lists.clear()
        waits.append(await s.turn(after=waits[-1].total_seconds()))

    assert s.pushed == set(range(1, 36))
    assert max(s.stores.pushed.values()) == 1
    assert waits == [*[timedelta(milliseconds=30)] * 3, PERIOD]


@virtual
async def test_a_refill_waits_while_its_chunk_has_not_drained_and_comes_back_before_the_list_is_short() -> (
    None
):
    s = Scene()
    s.pending(range(1, 101), listed=False)
    await s.turn()
    assert len(s.listed) == 10

    assert await s.turn(after=0.03) == PERIOD
    assert len(s.listed) == 10, "what is listed is older than what is not: nothing lacks yet"
    s.consume(1, 2, 3, 4, 5)
    again = await s.turn(after=2)
    assert again == timedelta(seconds=2 * (5 - 4) / 5 * 0.75)
    s.consume(6, 7)
    assert await s.turn(after=again.total_seconds()) == timedelta(milliseconds=30)
    assert s.listed == [*range(11, 21), 8, 9, 10]


@virtual
async def test_rows_that_nobody_serves_are_passed_over_and_do_not_stop_the_walk() -> None:
    s = Scene()
    s.pending(range(1, 31), listed=False)
    s.stores.unserved = {task_id(number) for number in range(1, 26)}
    await s.turns(2)
    assert s.pushed == set(range(26, 31))


@virtual
async def test_what_was_pushed_and_lost_again_is_pushed_again_but_not_before_the_slack_is_over() -> None:
    s = Scene()
    s.pending(range(1, 6), listed=False)
    await s.turn()
    s.stores.lists.clear()
    for _ in range(2):
        await s.early_turn(after=1.4)
        assert max(s.stores.pushed.values()) == 1
    await s.early_turn(after=0.3)
    assert s.listed == [1, 2, 3, 4, 5]


@virtual
async def test_a_list_that_is_emptied_in_the_middle_of_a_refill_is_filled_from_the_beginning() -> None:
    s = Scene()
    s.pending(range(1, 41), listed=False)
    await s.turn()
    s.consume(*range(1, 9))
    await s.turn(after=2)
    assert s.listed == [*range(11, 21), 9, 10]

    s.stores.lists.clear()
    await s.early_turn(after=1.1)
    assert s.listed == list(range(9, 19))


@virtual
async def test_a_lap_that_found_no_more_starts_over_when_the_slack_is_over_though_something_is_listed() -> (
    None
):
    s = Scene()
    s.pending(range(1, 6), listed=False)
    await s.turn()
    del s.stores.lists[LIST][2:4]
    await s.early_turn(after=1.0)
    assert s.listed == [1, 2, 5]

    await s.early_turn(after=2.1)
    await s.early_turn(after=0.1)
    assert set(s.listed) == {1, 2, 3, 4, 5}


@virtual
async def test_another_process_goes_on_where_the_last_one_stopped() -> None:
    s, other = Scene(), Scene()
    other.stores = s.stores
    s.pending(range(1, 21), listed=False)
    await s.turn()
    await Republish(store=s.stores, ready=s.stores, lease=LEASE, report=s.events).step()
    s.stores.lists.clear()
    s.stores.now += 0.03
    await Republish(store=s.stores, ready=s.stores, lease=LEASE, report=s.events).step()
    assert s.pushed == set(range(1, 21))
    assert max(s.stores.pushed.values()) == 1


@virtual
async def test_a_backlog_of_whole_chunks_ends_its_refill_when_the_list_runs_short() -> None:
    """Nobody looks many times a second for a chunk that does not exist."""
    s = Scene()
    s.pending(range(1, 11), listed=False)
    await s.turns(0.1)
    s.consume(*range(1, 6))
    await s.early_turn(after=0.1)
    s.consume(6)
    await s.early_turn(after=0.1)
    s.consume(7)
    assert s.listed == [8, 9, 10]
    assert await s.turns(2.0) <= 3


@pytest.mark.parametrize(
    ("length", "again"),
    [(10, PERIOD), (12, PERIOD), (9, PERIOD), (8, timedelta(seconds=1.5)), (5, timedelta(seconds=0.15))],
)
def test_a_lap_comes_back_as_fast_as_its_list_was_seen_to_shrink(length: int, again: timedelta) -> None:
    lap = Lap(BEGINNING, START, refilling=True, length=10, again=timedelta(seconds=1))
    waiting = lap.wait(length)
    assert waiting.again == again
    assert waiting.length == length
    assert (waiting.place, waiting.began, waiting.refilling) == (lap.place, lap.began, lap.refilling)
