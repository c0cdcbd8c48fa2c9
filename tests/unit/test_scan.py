"""Scanning: lanes in turn, from where the last claim ended, and never what a list will bring (U4 scan)."""

from __future__ import annotations

import pytest

from sluice.consumer.intake import scan as module
from sluice.consumer.intake.scan import ALONE, BUSY, IDLE, Popped
from sluice.db.claims import NO_HINTS, Hints, Lane
from tests.unit.scanning import A, B, Scene, lane
from tests.unit.support import task_id, virtual


@virtual
async def test_nothing_is_claimed_where_nothing_is_due() -> None:
    s = Scene({})
    assert not s.scan.found
    await s.scan.find(IDLE)
    assert not s.scan.found
    assert await s.scan.claim(5) == 0
    assert s.asked == []


@virtual
async def test_the_highest_priority_comes_first_and_within_it_the_oldest_lane() -> None:
    s = Scene({lane(A): [5, 6], lane(B): [3], lane(A, 9): [8]})
    await s.scan.find(IDLE)
    assert await s.scan.claim(10) == 4
    assert s.asked == [([lane(A, 9), lane(B), lane(A)], NO_HINTS)]
    assert not s.scan.found


@virtual
async def test_lanes_of_one_priority_take_turns_and_each_goes_on_where_it_stopped() -> None:
    s = Scene({lane(A): list(range(1, 101, 2)), lane(B): list(range(2, 102, 2))})
    await s.scan.find(IDLE)
    first: list[Lane] = []
    for _ in range(10):
        assert await s.scan.claim(10) == 10
        first.append(s.asked[-1][0][0])
    assert first == [lane(A), lane(B)] * 5
    assert s.rows == {lane(A): [], lane(B): []}


@virtual
async def test_a_lane_that_gave_all_that_it_had_is_not_asked_again() -> None:
    s = Scene({lane(A, 9): [1, 2], lane(B): list(range(3, 50))})
    await s.scan.find(IDLE)
    await s.scan.claim(10)
    await s.scan.claim(10)
    assert s.asked[1][0] == [lane(B)]


@virtual
async def test_a_suspect_that_was_all_that_came_says_nothing_of_its_lane() -> None:
    """It lies anywhere in it: innocent tasks before it and behind it wait still."""
    s = Scene({lane(A): [1, 2], lane(B): [3]})
    await s.scan.find(IDLE)
    s.suspects = 1
    assert await s.scan.claim(1) == 1
    assert s.scan.found
    assert await s.scan.claim(10) == 3


@virtual
async def test_when_the_rows_are_at_their_end_it_looks_again_at_once() -> None:
    s = Scene({lane(A): [1, 2]})
    await s.scan.find(IDLE)
    await s.scan.claim(10)
    assert s.bell._rung.is_set()
    s.bell.clear()
    await s.scan.find(IDLE)
    await s.scan.claim(10)
    assert not s.bell._rung.is_set(), "and not when there was none"


@virtual
async def test_of_more_lanes_than_one_look_takes_all_have_their_turn() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_LANES", 10)
        s = Scene({lane(A, queue=f"q{n:02}"): [n] for n in range(1, 36)})
        for _ in range(12):
            await s.scan.find(ALONE)
            await s.scan.claim(3)
            await s.scan.claim(100)
        assert not any(s.rows.values())


@virtual
async def test_a_queue_of_very_many_lanes_that_never_end_hides_no_other_and_no_kind() -> None:
    """Whatever their priorities: which of them come first is known only of those that one look takes."""
    bulk = {lane(kind, priority, "bulk"): [1] for kind in (A, B) for priority in range(10)}
    s = Scene({**bulk, lane(A, 1, "mail"): [1], lane(B, 1, "mail"): [1]})
    claimed: set[Lane] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_LANES", 15)
        for _ in range(4):
            await s.scan.find(ALONE)
            claimed |= s.scan._lanes.keys()
    assert claimed == s.rows.keys()


@virtual
async def test_what_a_list_brings_is_left_to_it_and_lanes_behind_it_wait() -> None:
    """Lists that were asked before it are known to be empty."""
    high, own, other, low = lane(A, 9), lane(A), lane(A, queue="other"), lane(B, 1)
    s = Scene({high: [1], own: [2], other: [3], low: [4]})
    asked = [s.list_of(each) for each in (high, own, other, low)]
    await s.scan.find(BUSY)
    s.scan.popped = Popped(s.list_of(own), [task_id(7)], asked)
    await s.scan.claim(10)
    [(lanes, hints)] = s.asked
    assert lanes == [high, own]
    assert hints == Hints([task_id(7)], {own})


@virtual
async def test_lists_that_were_not_asked_are_not_taken_for_empty() -> None:
    s = Scene({lane(A, 9, "other"): [1], lane(A): [2]})
    own = s.list_of(lane(A))
    await s.scan.find(BUSY)
    s.scan.popped = Popped(own, [task_id(7)], [own])
    await s.scan.claim(10)
    assert s.asked[0][0] == [lane(A)]
