from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest

from sluice.core.errors import Hindered, OutcomeUnknown, StoreUnavailable
from sluice.core.events import GivenBack
from sluice.core.outcome import Reason, Return
from tests.unit.reconciling import Scene, key
from tests.unit.support import settled, task_id, virtual


@virtual
async def test_a_row_that_nobody_here_holds_is_given_back_when_two_looks_have_found_it() -> None:
    s = Scene()
    s.mine.update({key(1), key(2)})
    await s.scan()
    assert s.put_back == []

    s.mine.discard(key(2))
    s.mine.add(key(3))
    await s.scan()
    assert s.put_back == [Return(*key(1))]
    assert s.events.of(GivenBack) == [GivenBack(1, why=Reason.ANSWER_LOST)]

    await s.scan()
    assert s.put_back == [Return(*key(1)), Return(*key(3))]


@virtual
async def test_what_is_being_given_back_is_not_given_back_again() -> None:
    s = Scene()
    s.mine.add(key(1))
    for _ in range(5):
        await s.scan()
    assert s.put_back == [Return(*key(1))]


@virtual
async def test_what_waits_for_its_slot_is_no_stray_under_this_id_or_the_former_one() -> None:
    s = Scene()
    s.mine.add(key(1))
    s.prefetched = {key(1)}
    for _ in range(5):
        await s.scan()
    former = s.lease.consumer
    s.lease.ended()
    s.lease.renewed(1000.0)
    s.rows[former].add(key(2))
    await s.scan()
    assert s.put_back == [Return(*key(2))]


@pytest.mark.parametrize("begun", ["before the look", "during the look"])
def test_rows_whose_claim_is_still_in_flight_are_not_strays_however_many_looks_find_them(begun: str) -> None:
    @virtual
    async def scene() -> None:
        s = Scene()
        async with asyncio.TaskGroup() as group:

            def begin() -> None:
                s.during_the_scan = lambda: None
                s.mine.add(key(1))
                group.create_task(s.claimer.claim([task_id(1)]))

            if begun == "before the look":
                begin()
                await settled()
            else:
                s.during_the_scan = begin
            for _ in range(3):
                await s.scan()
                await settled()
            assert s.put_back == []

            s.answers[0].set_result([])
            await settled()
            await s.scan()
        assert s.put_back == [Return(*key(1))]

    scene()


@virtual
async def test_a_claim_that_began_after_the_first_look_keeps_no_stray_from_going_back() -> None:
    s = Scene()
    s.mine.add(key(1))
    await s.scan()
    async with asyncio.TaskGroup() as group:
        group.create_task(s.claimer.claim([task_id(2)]))
        await settled()
        await s.scan()
        assert s.put_back == [Return(*key(1))]
        s.answers[0].set_result([])


@virtual
async def test_rows_of_the_former_id_go_back_behind_the_outcomes_of_its_runs() -> None:
    s = Scene()
    s.runs(1)
    s.writing.add(key(2))
    s.mine.update({key(2), key(3)})
    await s.scan()
    former = s.lease.consumer
    s.lease.ended()
    s.rows[s.lease.consumer] = set()

    await s.scan()

    assert s.rows[former] == {key(1), key(2), key(3)}
    assert s.put_back == [Return(*key(3))]
    s.scans = 0
    await s.scan()
    assert s.scans == 1, "the former self is scanned for once"


@virtual
async def test_a_stray_seen_under_one_id_does_not_count_under_the_next() -> None:
    s = Scene()
    await s.scan()
    s.lease.ended()
    s.rows[s.lease.consumer] = {key(1)}
    await s.scan()
    assert s.put_back == []
    await s.scan()
    assert s.put_back == [Return(*key(1))]


@virtual
async def test_a_look_that_finds_no_store_changes_nothing_and_the_former_id_is_looked_at_later() -> None:
    s = Scene()
    s.mine.add(key(1))
    await s.scan()
    s.lease.ended()
    s.rows[s.lease.consumer] = set()

    def away() -> None:
        raise OutcomeUnknown("PostgreSQL", "gone")

    s.during_the_scan = away
    with pytest.raises(OutcomeUnknown):
        await s.scan()
    assert s.put_back == []

    s.during_the_scan = lambda: None
    await s.scan()
    assert s.put_back == [Return(*key(1))]


@virtual
async def test_what_runs_and_whose_row_says_so_is_no_stray() -> None:
    s = Scene()
    s.runs(1, 2)
    await s.scan()
    await s.scan()
    assert s.put_back == []


@virtual
async def test_who_was_declared_dead_during_the_scan_judges_nothing_by_it() -> None:
    s = Scene()
    s.mine.add(key(1))
    await s.scan()
    s.during_the_scan = s.lease.ended
    assert await s.scan() == timedelta()
    assert s.put_back == []


@virtual
async def test_a_look_follows_soon_while_something_runs_and_seldom_while_nothing_does() -> None:
    s = Scene()
    assert await scans(s, 2 * s.lease.duration) <= 4
    s.runs(1)
    assert await scans(s, 30) >= 15


@virtual
async def test_a_look_that_takes_long_is_followed_by_a_rest_and_still_finds_what_a_lost_answer_took() -> None:
    """Beside an old snapshot each look took as long as all that this consumer had run, every second and a half."""
    s = Scene()
    s.runs(1)
    s.during_the_scan = lambda: s.clock.move(0.1)
    assert 15 <= await scans(s, 100) <= 22
    s.during_the_scan = lambda: s.clock.move(9.0)
    assert 7 <= await scans(s, 300) <= 10
    s.mine.add(key(2))
    await scans(s, 2 * (9 + 30 + 2))
    assert s.put_back == [Return(*key(2))]


@virtual
async def test_a_look_that_postgresql_gives_up_is_followed_by_a_rest_and_one_that_is_silent_by_none() -> None:
    s = Scene()
    s.runs(1)
    for error, took, fewest, most in (
        (Hindered("PostgreSQL", "statement timeout"), 10.0, 2, 4),
        (OutcomeUnknown("PostgreSQL", "gone"), 0.1, 30, 100),
    ):

        def fails(error: Exception = error, took: float = took) -> None:
            s.clock.move(took)
            raise error

        s.during_the_scan = fails
        assert fewest <= await scans(s, 100) <= most
        s.clock.move(60)


async def scans(s: Scene, seconds: float) -> int:
    """How many there were in that time."""
    before, end = s.scans, s.clock() + seconds
    while s.clock() < end:
        pause = s.reconcile.period
        with suppress(StoreUnavailable):
            pause = await s.reconcile.step()
        s.clock.move(pause.total_seconds())
    return s.scans - before
