# mypy: disable-error-code=unreachable
# It takes a property for a constant.
from __future__ import annotations

import asyncio

import pytest

from sluice.consumer.intake.claim import Found
from sluice.core.errors import OutcomeUnknown
from sluice.core.events import Claimed
from sluice.db.claims import NO_HINTS
from tests.unit.claiming import KINDS, LANES, Scene
from tests.unit.support import claim, settled, task_id, virtual


def test_claims_may_be_made_while_the_lease_is_trusted_and_outcomes_are_written() -> None:
    s = Scene()
    assert s.claimer.open
    s.full = True
    assert not s.claimer.open
    s.full = False
    s.clock.move(25)
    assert not s.claimer.open


@virtual
async def test_a_claim_names_this_consumer_and_the_kinds_it_serves() -> None:
    s = Scene()
    async with asyncio.TaskGroup() as group:
        by_id = group.create_task(s.claimer.claim([task_id(1), task_id(2)]))
        by_list = group.create_task(s.claimer.claim_ready(LANES, 3, NO_HINTS))
        await settled()
        for number, answer in enumerate(s.store.answers, 1):
            answer.set_result([claim(number)])

    me = s.lease.consumer
    assert s.store.asked == [
        ("claim", [task_id(1), task_id(2)], me, KINDS),
        ("claim_ready", (LANES, 3), me, ()),
    ]
    assert (by_id.result(), by_list.result()) == (1, Found(1, {}))
    assert s.started == [([claim(1)], me), ([claim(2)], me)]
    assert s.events.all == [Claimed(1, asked=2), Claimed(1, asked=3)]


@virtual
async def test_claims_are_numbered_and_counted_while_they_are_in_flight() -> None:
    s = Scene()
    assert s.claimer.settled(s.claimer.last)
    async with asyncio.TaskGroup() as group:
        group.create_task(s.claimer.claim([task_id(1)]))
        await settled()
        first = s.claimer.last
        group.create_task(s.claimer.claim_ready(LANES, 3, NO_HINTS))
        await settled()
        second = s.claimer.last
        assert s.claimer.asked == 4

        assert first < second
        assert not s.claimer.settled(first)
        s.store.answers[0].set_result([])
        await settled()
        assert s.claimer.settled(first), "a younger claim is no matter"
        assert not s.claimer.settled(second)
        assert s.claimer.asked == 3
        s.store.answers[1].set_result([])
    assert s.claimer.settled(second)


@virtual
async def test_an_older_claim_that_still_flies_keeps_a_younger_one_from_counting_as_settled() -> None:
    s = Scene()
    async with asyncio.TaskGroup() as group:
        group.create_task(s.claimer.claim([task_id(1)]))
        await settled()
        group.create_task(s.claimer.claim([task_id(2)]))
        await settled()
        s.store.answers[1].set_result([])
        await settled()
        assert not s.claimer.settled(s.claimer.last)
        s.store.answers[0].set_result([])


@virtual
async def test_a_claim_whose_answer_is_lost_is_no_longer_in_flight() -> None:
    s = Scene()

    async def lose() -> None:
        with pytest.raises(OutcomeUnknown):
            await s.claimer.claim([task_id(1)])

    async with asyncio.TaskGroup() as group:
        group.create_task(lose())
        await settled()
        s.store.answers[0].set_exception(OutcomeUnknown("PostgreSQL", "gone"))
    assert s.claimer.settled(s.claimer.last)
    assert s.events.all == []


@virtual
async def test_whoever_claimed_goes_on_before_the_claims_start_and_until_then_they_are_in_flight() -> None:
    """The next claim leaves first; to reconcile they would be strays (L4 reconcile)."""
    s = Scene()
    seen: list[tuple[int, int, bool]] = []

    def see(*_: object) -> None:
        seen.append((len(s.started), s.claimer.asked, s.claimer.settled(s.claimer.last)))

    async def look() -> None:
        assert await s.claimer.claim([task_id(1), task_id(2), task_id(3)]) == 2
        see()

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(look())
        await settled()
        looking.add_done_callback(see)
        s.store.answers[0].set_result([claim(1), claim(2)])

    assert seen == [(0, 2, False), (1, 0, True)], "whoever waits for the end of the task finds them started"


@virtual
async def test_claims_start_under_the_id_that_made_them_although_it_was_declared_dead_meanwhile() -> None:
    s = Scene()
    former = s.lease.consumer
    async with asyncio.TaskGroup() as group:
        group.create_task(s.claimer.claim([task_id(1), task_id(2)]))
        await settled()
        s.lease.ended()
        s.lease.renewed(s.clock())
        s.store.answers[0].set_result([claim(1), claim(2)])

    assert s.lease.consumer != former
    assert s.started == [([claim(1), claim(2)], former)]
