"""Scanning: lanes in turn, from where the last claim ended, and never what a list will bring (U4)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from consumer import scan as module
from consumer.gate import Found
from consumer.periodic import Bell
from consumer.scan import ALONE, BUSY, IDLE, Popped, Scan
from core.audience import Audiences, Signature
from core.errors import Hindered, OutcomeUnknown, StoreUnavailable
from core.task import Kind, QueueName, ReadyList
from db.claims import NO_HINTS, Hints, Lane
from db.rows import Place
from tests.unit.support import now, task_id, virtual

START = datetime(2026, 1, 1, tzinfo=UTC)
A, B = Kind("a"), Kind("b")


def lane(kind: Kind = A, priority: int = 5, queue: str = "default") -> Lane:
    return Lane(QueueName(queue), kind, priority)


def place(second: int) -> Place:
    return Place(START + timedelta(seconds=second), task_id(second))


class Scene:
    """Rows as numbers, each due at its second, lane by lane. It is itself the store and the gate."""

    def __init__(self, rows: dict[Lane, list[int]]) -> None:
        self.rows = rows
        self.took, self.suspects = 0.0, 0
        self.asked: list[tuple[list[Lane], Hints]] = []
        self.bell = Bell()
        self.consumers = 1
        self.me = Signature.of([QueueName("default"), QueueName("other")], [A, B])
        self.audiences = Audiences([self.me])
        self.error: StoreUnavailable | None = None
        self.scan = Scan(
            store=self,
            gate=self,  # type: ignore[arg-type] # the one member that it uses
            queues=sorted({each.queue for each in rows} or {QueueName("default")}),
            kinds=[A, B],
            audiences=lambda: self.audiences,
            consumers=lambda: self.consumers,
            bell=self.bell,
            clock=now,
        )

    async def lanes(
        self, queues: Sequence[QueueName], kinds: Sequence[Kind], n: int
    ) -> list[tuple[Lane, datetime]]:
        await asyncio.sleep(self.took)
        if self.error is not None:
            raise self.error
        assert set(kinds) == {A, B}
        ours = [each for queue in queues for each in self.rows if each.queue == queue and self.rows[each]]
        return [(each, place(self.rows[each][0]).run_at) for each in ours][:n]

    async def claim_ready(self, lanes: Mapping[Lane, Place], n: int, listed: Hints) -> Found:
        self.asked.append((list(lanes), listed))
        claimed, ends = min(self.suspects, n), dict[Lane, Place]()
        self.suspects -= claimed
        for each, begin in lanes.items():
            taken = [row for row in self.rows[each] if place(row) > begin][: n - claimed]
            self.rows[each] = [row for row in self.rows[each] if row not in taken]
            claimed += len(taken)
            if taken:
                ends[each] = place(taken[-1])
        return Found(claimed, ends)

    def list_of(self, each: Lane) -> ReadyList:
        found = self.audiences.list_of(*each)
        assert found is not None
        return found


@virtual
async def test_nothing_is_claimed_where_nothing_is_due() -> None:
    s = Scene({})
    assert not s.scan.found
    await s.scan.look(IDLE)
    assert not s.scan.found
    assert await s.scan.claim(5, None) == 0
    assert s.asked == []


@virtual
async def test_the_highest_priority_comes_first_and_within_it_the_oldest_lane() -> None:
    s = Scene({lane(A): [5, 6], lane(B): [3], lane(A, 9): [8]})
    await s.scan.look(IDLE)
    assert await s.scan.claim(10, None) == 4
    assert s.asked == [([lane(A, 9), lane(B), lane(A)], NO_HINTS)]
    assert not s.scan.found


@virtual
async def test_lanes_of_one_priority_take_turns_and_each_goes_on_where_it_stopped() -> None:
    s = Scene({lane(A): list(range(1, 101, 2)), lane(B): list(range(2, 102, 2))})
    await s.scan.look(IDLE)
    first: list[Lane] = []
    for _ in range(10):
        assert await s.scan.claim(10, None) == 10
        first.append(s.asked[-1][0][0])
    assert first == [lane(A), lane(B)] * 5
    assert s.rows == {lane(A): [], lane(B): []}


@virtual
async def test_a_lane_that_gave_all_that_it_had_is_not_asked_again() -> None:
    s = Scene({lane(A, 9): [1, 2], lane(B): list(range(3, 50))})
    await s.scan.look(IDLE)
    await s.scan.claim(10, None)
    await s.scan.claim(10, None)
    assert s.asked[1][0] == [lane(B)]


@virtual
async def test_a_suspect_that_was_all_that_came_says_nothing_of_its_lane() -> None:
    """It lies anywhere in it: innocent tasks before it and behind it wait still."""
    s = Scene({lane(A): [1, 2], lane(B): [3]})
    await s.scan.look(IDLE)
    s.suspects = 1
    assert await s.scan.claim(1, None) == 1
    assert s.scan.found
    assert await s.scan.claim(10, None) == 3


@virtual
async def test_when_the_rows_are_at_their_end_it_looks_again_at_once() -> None:
    s = Scene({lane(A): [1, 2]})
    await s.scan.look(IDLE)
    await s.scan.claim(10, None)
    assert s.bell._rung.is_set()
    s.bell.clear()
    await s.scan.look(IDLE)
    await s.scan.claim(10, None)
    assert not s.bell._rung.is_set(), "and not when there was none"


@virtual
async def test_looks_follow_each_other_fast_after_a_find_and_then_rarer() -> None:
    s = Scene({})
    assert [round((await s.scan.look(IDLE)).total_seconds(), 2) for _ in range(7)] == [
        *(0.05, 0.1, 0.2, 0.4, 0.8),
        *(1.0, 1.0),
    ]
    assert await s.scan.look(BUSY) == timedelta(seconds=2)
    assert await s.scan.look(BUSY) == BUSY
    s.rows[lane(A)] = [1]
    await s.scan.look(BUSY)
    await s.scan.claim(5, None)
    assert await s.scan.look(BUSY) == timedelta(seconds=0.05)


@virtual
async def test_a_look_that_takes_long_is_followed_by_a_pause_that_all_consumers_share() -> None:
    s = Scene({})
    s.took, s.consumers = 0.5, 10
    await s.scan.look(IDLE)
    assert await s.scan.look(IDLE) < IDLE, "one that took long may have waited for a processor"
    assert now() == 1.0
    rest = await s.scan.look(IDLE)
    assert rest == timedelta(seconds=60), (
        "a twentieth of a core over ten of them, but something is found in a minute"
    )
    assert now() == 1.0
    await asyncio.sleep(60)
    await s.scan.look(ALONE)
    assert await s.scan.look(ALONE) <= timedelta(seconds=0.5), "without Redis there is no other way"


@virtual
async def test_a_look_that_was_given_up_for_its_time_is_paid_for_too() -> None:
    s = Scene({})
    s.took, s.error = 0.5, Hindered("PostgreSQL", "canceling statement due to statement timeout")
    with pytest.raises(Hindered):
        await s.scan.look(IDLE)
    assert await s.scan.look(IDLE) == timedelta(seconds=10)


@virtual
async def test_waiting_for_a_server_that_is_silent_puts_no_look_off() -> None:
    s = Scene({})
    s.took, s.error = 12, OutcomeUnknown("PostgreSQL", "no answer in time")
    with pytest.raises(OutcomeUnknown):
        await s.scan.look(IDLE)
    s.took, s.error, s.rows[lane()] = 0, None, [1]
    await s.scan.look(IDLE)
    assert s.scan.found


@virtual
async def test_a_rest_of_almost_nothing_lets_time_pass() -> None:
    s = Scene({})
    s.took = 0.1
    await s.scan.look(ALONE)
    await asyncio.sleep(s.scan._not_before - now() - 1e-9)
    assert await s.scan.look(ALONE) > timedelta()


@virtual
async def test_of_more_lanes_than_one_look_takes_all_have_their_turn() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_LANES", 10)
        s = Scene({lane(A, queue=f"q{n:02}"): [n] for n in range(1, 36)})
        for _ in range(12):
            await s.scan.look(ALONE)
            await s.scan.claim(3, None)
            await s.scan.claim(100, None)
        assert not any(s.rows.values())


@virtual
async def test_what_a_list_brings_is_left_to_it_and_lanes_behind_it_wait() -> None:
    """Lists that were asked before it are known to be empty."""
    high, own, other, low = lane(A, 9), lane(A), lane(A, queue="other"), lane(B, 1)
    s = Scene({high: [1], own: [2], other: [3], low: [4]})
    asked = [s.list_of(each) for each in (high, own, other, low)]
    await s.scan.look(BUSY)
    await s.scan.claim(10, Popped(s.list_of(own), [task_id(7)], asked))
    [(lanes, hints)] = s.asked
    assert lanes == [high, own]
    assert hints == Hints([task_id(7)], {own})


@virtual
async def test_lists_that_were_not_asked_are_not_taken_for_empty() -> None:
    s = Scene({lane(A, 9, "other"): [1], lane(A): [2]})
    own = s.list_of(lane(A))
    await s.scan.look(BUSY)
    await s.scan.claim(10, Popped(own, [task_id(7)], [own]))
    assert s.asked[0][0] == [lane(A)]
