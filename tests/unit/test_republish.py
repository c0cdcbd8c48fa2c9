from __future__ import annotations

from datetime import timedelta

import pytest

from consumer.upkeep.republish import PERIOD
from core.errors import OutcomeUnknown
from core.events import Garbage, UpkeepDone
from db.ready import decode
from tests.unit.republishing import LIST, MAIL, SLACK, Scene
from tests.unit.support import task_id, virtual

pytestmark = pytest.mark.usefixtures("small_chunks")


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
async def test_garbage_behind_the_oldest_that_is_alive_is_left_to_who_pops_it() -> None:
    s = Scene()
    s.pending(range(1, 21), listed=True)
    s.stores.lists[LIST][1:1] = [b"garbage"]
    await s.turn()
    assert len(s.stores.lists[LIST]) == 21
    assert s.events.all == []


@pytest.mark.parametrize("stale", [6, 60, 300])
@virtual
async def test_behind_a_sample_that_is_stale_a_larger_one_is_looked_at(stale: int) -> None:
    s = Scene()
    s.pending(range(1, 401), listed=True)
    for number in range(1, stale + 1):
        del s.stores.rows[LIST][task_id(number)]
    await s.turn()
    assert s.listed == list(range(stale + 1, 401))
    assert s.pushed == set()


@virtual
async def test_a_list_whose_largest_sample_is_stale_is_dropped_and_filled_again() -> None:
    s = Scene()
    s.pending(range(1, 401), listed=True)
    for number in range(1, 306):
        del s.stores.rows[LIST][task_id(number)]
    await s.turn()
    assert s.listed == list(range(306, 316)), "one chunk"


@virtual
async def test_a_list_that_is_worked_off_faster_than_its_rows_are_read_is_neither_dropped_nor_filled() -> (
    None
):
    """A fast consumer has done with a whole sample by the time its rows are here."""
    s = Scene()
    s.pending(range(1, 2001), listed=True)
    numbers = iter(range(1, 2001))
    s.stores.while_rows_are_read = lambda: s.consume(*(next(numbers) for _ in range(300)))
    await s.turn()
    assert s.listed == list(range(901, 2001))
    assert s.pushed == set()
    assert s.stores.cursor == {}


@virtual
async def test_what_is_lost_is_found_beside_a_consumer_that_works_off_a_sample_meanwhile() -> None:
    s = Scene()
    s.pending([5000], listed=False, age=500)
    s.pending(range(1, 201), listed=True)
    numbers = iter(range(1, 201))
    s.stores.while_rows_are_read = lambda: s.consume(*(next(numbers) for _ in range(20)))
    await s.turn()
    assert s.pushed == {5000}
    assert s.listed == [5000, *range(41, 201)]


@virtual
async def test_a_list_that_runs_dry_gets_what_it_lacks() -> None:
    s = Scene()
    s.pending(range(1, 8), listed=False)
    s.stores.lists[LIST] = [str(task_id(number)).encode() for number in (1, 2)]
    await s.turn()
    assert s.pushed == set(range(1, 8)), "what it holds is pushed twice"


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
