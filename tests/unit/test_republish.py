from __future__ import annotations

from datetime import timedelta

import pytest

from consumer.upkeep import republish as module
from consumer.upkeep.republish import PERIOD, Lap, Republish
from core.errors import OutcomeUnknown
from core.events import Garbage, UpkeepDone
from db.ready import decode
from db.upkeep import BEGINNING
from tests.unit.republishing import LEASE, LIST, MAIL, SLACK, START, Scene
from tests.unit.support import task_id, virtual


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small numbers instead of thousands."""
    monkeypatch.setattr(module, "CHUNK", 10)
    monkeypatch.setattr(module, "SHORT", 4)
    monkeypatch.setattr(module, "SAMPLE", 5)


@virtual
async def test_a_list_that_is_gone_is_filled_again_the_oldest_first() -> None:
    s = Scene()
    s.pending(range(1, 6), listed=False)
    await s.turn()
    assert s.listed == [1, 2, 3, 4, 5]
    assert s.events.all == [UpkeepDone(5, step="republish")]


@virtual
async def test_what_was_submitted_just_now_is_given_time_to_arrive() -> None:
    s = Scene()
    s.pending([1], listed=False, age=SLACK - 0.1)
    await s.turn()
    assert s.pushed == set()
    await s.turn(after=2.0)
    assert s.pushed == {1}


@virtual
async def test_with_a_short_lease_the_time_is_shorter() -> None:
    s = Scene(lease=timedelta(seconds=1))
    s.pending([1], listed=False, age=0.6)
    await s.turn()
    assert s.pushed == {1}


@virtual
async def test_a_complete_list_is_left_alone_however_long_it_is() -> None:
    s = Scene()
    s.pending(range(1, 500), listed=True)
    before = list(s.listed)
    await s.turns(60)
    assert s.pushed == set()
    assert s.listed == before
    assert s.stores.ends == 0


@virtual
async def test_ids_lost_from_the_middle_come_back_when_the_list_has_drained_to_them() -> None:
    s = Scene()
    s.pending(range(1, 101), listed=True)
    entries = s.stores.lists[LIST]
    del entries[40:60]

    while s.stores.rows[LIST]:
        if s.stores.next_run_at <= s.stores.now:
            await s.turn()
        for entry in entries[:2]:
            s.stores.rows[LIST].pop(decode(entry) or task_id(0), None)
            entries.remove(entry)
        entries = s.stores.lists.setdefault(LIST, [])
        s.stores.now += 0.5

    assert set(range(41, 61)) <= s.pushed
    assert sum(s.stores.pushed.values()) < 40, "few of the others are pushed twice"


@virtual
async def test_rows_older_than_what_is_listed_are_pushed_though_the_list_is_long() -> None:
    s = Scene()
    s.pending(range(1, 4), listed=False, age=500)
    s.pending(range(10, 30), listed=True, age=100)
    await s.turn()
    assert s.listed == [1, 2, 3, *range(10, 30)]


@virtual
async def test_stale_entries_at_the_old_end_are_removed_up_to_the_first_that_is_alive() -> None:
    s = Scene()
    s.pending(range(1, 21), listed=True)
    for number in (1, 2, 3, 7):
        del s.stores.rows[LIST][task_id(number)]

    await s.turn()

    assert s.listed == list(range(4, 21))
    assert s.pushed == set()


@virtual
async def test_entries_of_rows_that_are_not_due_or_of_another_list_are_stale() -> None:
    s = Scene()
    s.pending(range(1, 21), listed=True)
    s.stores.rows[LIST][task_id(1)] = s.stores.now + 100
    s.stores.rows[MAIL] = {task_id(2): s.stores.rows[LIST].pop(task_id(2))}
    s.stores.lists[MAIL] = [str(task_id(2)).encode()]
    await s.turn()
    assert s.listed == list(range(3, 21))


@virtual
async def test_garbage_is_removed_and_counted() -> None:
    s = Scene()
    s.pending(range(1, 21), listed=True)
    s.stores.lists[LIST][:0] = [b"garbage", b"\xff"]
    await s.turn()
    assert s.listed == list(range(1, 21))
    assert s.events.all == [Garbage(2, where="default:5")]


@virtual
async def test_a_list_whose_whole_sample_is_stale_is_dropped_and_filled_again() -> None:
    s = Scene()
    s.pending(range(1, 21), listed=True)
    for number in range(1, 7):
        del s.stores.rows[LIST][task_id(number)]
    await s.turn()
    assert s.listed == list(range(7, 17)), "one chunk"


@virtual
async def test_a_list_that_runs_dry_gets_what_it_lacks() -> None:
    s = Scene()
    s.pending(range(1, 8), listed=False)
    s.stores.lists[LIST] = [str(task_id(number)).encode() for number in (1, 2)]
    await s.turn()
    assert s.pushed == set(range(1, 8)), "what it holds is pushed twice"


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
async def test_each_list_is_walked_by_itself() -> None:
    s = Scene()
    s.pending(range(1, 6), listed=False)
    s.stores.rows[MAIL] = {task_id(number): s.stores.now - 50 for number in range(101, 108)}
    await s.turns(0.1)
    assert s.pushed == {*range(1, 6), *range(101, 108)}
    assert max(s.stores.pushed.values()) == 1
    assert set(s.stores.cursor) == {"default:5", "mail:9"}


@virtual
async def test_who_does_not_win_the_turn_does_nothing() -> None:
    s = Scene()
    s.pending([1], listed=False)
    s.stores.next_run_at = s.stores.now + 1
    assert await s.turn() == PERIOD
    assert s.pushed == set()


@virtual
async def test_a_redis_that_is_away_ends_the_turn_and_loses_nothing() -> None:
    s = Scene()
    s.pending(range(1, 6), listed=False)
    s.stores.away = True
    with pytest.raises(OutcomeUnknown):
        await s.turn()
    s.stores.away = False
    await s.turn(after=2)
    assert s.listed == [1, 2, 3, 4, 5]


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
