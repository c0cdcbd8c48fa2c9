# mypy: disable-error-code=unreachable
# It takes a property for a constant.
from __future__ import annotations

import asyncio

import pytest

from sluice.consumer.intake.schedule import Hint, by_list
from sluice.core.errors import OutcomeUnknown
from sluice.core.events import GivenBack, StoreLost
from sluice.core.outcome import Reason
from tests.unit.scheduling import HIGH, LOW, Scene, ids, scene
from tests.unit.support import settled, task_id, virtual


@scene
async def test_pull_is_told_whenever_the_queue_has_room_again_although_no_slot_is_freed(s: Scene) -> None:
    s.capacity.take(2)
    await s.feed(4)
    assert s.waited_when_told == [2], "two are being claimed"
    await s.answer(2)
    await asyncio.sleep(1.1)
    assert s.returned
    assert s.waited_when_told == [2, 0], "the others were given back"


@scene
async def test_what_waits_is_claimed_in_one_batch_in_its_order(s: Scene) -> None:
    await s.feed(3)
    await s.answer(3)

    assert s.asked == [ids(1, 2, 3)]
    assert s.capacity.free == 1


@pytest.mark.parametrize(("capacity", "at_once"), [(99, [99]), (100, [50, 50]), (101, [51, 50])])
def test_many_slots_are_claimed_for_by_halves(capacity: int, at_once: list[int]) -> None:
    """One half runs while the other is claimed."""

    async def run() -> None:
        s = Scene(capacity)
        async with asyncio.TaskGroup() as group:
            group.create_task(s.schedule.run())
            await settled()
            await s.feed(capacity)
            for asked in range(len(at_once)):
                s.answers[asked].set_result(len(s.asked[asked]))
                await settled()
            assert [len(ids) for ids in s.asked] == at_once
            s.stopping.request()

    virtual(run)()


@scene
async def test_for_quick_handlers_a_claim_is_for_as_many_as_there_are_slots_and_runs_ahead_of_them(
    s: Scene,
) -> None:
    s.capacity.took(0.001)
    await s.feed(4)
    await s.answer(4)
    await s.feed(4)
    assert s.asked == [ids(1, 2, 3, 4), ids(5, 6, 7, 8)]

    await s.answer(4)
    await s.feed(1)
    assert len(s.asked) == 2, "four run and four wait for their slots"
    s.capacity.release()
    await settled()
    assert s.asked[2:] == [ids(9)]


def test_for_quick_handlers_many_slots_are_not_halved() -> None:
    async def run() -> None:
        s = Scene(100)
        s.capacity.took(0.001)
        async with asyncio.TaskGroup() as group:
            group.create_task(s.schedule.run())
            await settled()
            await s.feed(100)
            assert [len(ids) for ids in s.asked] == [100]
            s.stopping.request()
            s.answers[0].set_result(100)

    virtual(run)()


@scene
async def test_slots_are_taken_before_the_claim_is_asked_for(s: Scene) -> None:
    await s.feed(3)
    assert s.slots_at_claim == [1]


@scene
async def test_no_more_is_claimed_than_there_are_free_slots(s: Scene) -> None:
    s.capacity.take(3)
    await s.feed(4)
    await s.answer(1)

    assert s.asked == [ids(1)]
    s.capacity.release(2)
    await settled()
    assert s.asked == [ids(1), ids(2, 3)]
    assert s.capacity.free == 0


@scene
async def test_what_a_claim_does_not_bring_is_dropped_and_its_slots_are_free_again(s: Scene) -> None:
    await s.feed(4)
    await s.answer(1)

    assert s.capacity.free == 3
    assert s.returned == []
    assert s.queue.empty()


@scene
async def test_a_claim_whose_answer_is_lost_frees_its_slots_and_the_next_follows(s: Scene) -> None:
    await s.feed(2)
    s.answers[0].set_exception(OutcomeUnknown("PostgreSQL", "gone"))
    await settled()
    assert s.capacity.free == 4
    assert s.events.all == [StoreLost("PostgreSQL", doing="claim", reason="gone")]

    await s.feed(1)
    assert s.asked == [ids(1, 2)], "not at once"
    await asyncio.sleep(0.1)
    assert s.asked == [ids(1, 2), ids(3)]


@scene
async def test_while_no_claim_may_be_made_none_is_and_that_is_checked_again(s: Scene) -> None:
    s.open = False
    await s.feed(1)
    await asyncio.sleep(0.2)
    assert s.asked == []

    s.open = True
    await asyncio.sleep(0.06)
    assert s.asked == [ids(1)]


@scene
async def test_when_the_oldest_has_waited_a_second_in_a_full_consumer_all_go_back_in_their_order(
    s: Scene,
) -> None:
    s.capacity.take(8)
    s.capacity.took(0.001)
    assert s.capacity.fast, "all that may be prefetched is"
    await s.feed(2, LOW)
    await asyncio.sleep(0.6)
    await s.feed(1, HIGH)
    await s.feed(1, LOW)

    await asyncio.sleep(0.39)
    assert s.returned == []
    await asyncio.sleep(0.02)
    assert s.returned == [{LOW: ids(1, 2, 4), HIGH: ids(3)}]
    assert s.events.all == [GivenBack(4, why=Reason.FULL)]
    assert not s.capacity.fast, "else they would be pulled again at once"

    await s.feed(1)
    await asyncio.sleep(0.9)
    assert len(s.returned) == 1, "it has its own second"


@scene
async def test_ids_that_may_not_be_claimed_go_back_after_a_second_too(s: Scene) -> None:
    s.open = False
    await s.feed(2)
    await asyncio.sleep(1.01)
    assert s.returned == [{LOW: ids(1, 2)}]


@scene
async def test_a_slot_that_comes_free_in_time_takes_the_oldest(s: Scene) -> None:
    s.capacity.take(4)
    await s.feed(2)
    await asyncio.sleep(0.9)
    s.capacity.release()
    await settled()
    assert s.asked == [ids(1)]


@scene
async def test_without_redis_hints_that_go_back_are_only_dropped(s: Scene) -> None:
    s.redis_away = True
    s.capacity.take(4)
    await s.feed(2)
    await asyncio.sleep(1.01)

    assert s.queue.empty()
    assert s.events.all[1:] == [StoreLost("Redis", doing="give back", reason="gone")]


@scene
async def test_giving_back_nothing_says_nothing(s: Scene) -> None:
    await s.schedule.give_back(Reason.DRAINING)
    assert s.returned == []
    assert s.events.all == []


@virtual
async def test_a_stop_waits_for_the_claim_in_flight() -> None:
    s = Scene()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(s.schedule.run())
        await s.feed(2)
        s.stopping.request()
        await asyncio.sleep(5)
        assert not running.done()
        await s.answer(2)

    assert s.capacity.free == 2


@virtual
async def test_a_stop_leaves_what_waits_unclaimed_for_the_drain_to_give_back() -> None:
    s = Scene()
    s.capacity.take(4)
    async with asyncio.TaskGroup() as group:
        group.create_task(s.schedule.run())
        await s.feed(3)
        s.stopping.request()

    await s.schedule.give_back(Reason.DRAINING)

    assert s.asked == []
    assert s.returned == [{LOW: ids(1, 2, 3)}]
    assert s.events.all == [GivenBack(3, why=Reason.DRAINING)]


def test_ids_are_grouped_by_their_list_in_their_order() -> None:
    hints = [Hint(task_id(n), ready, 0.0) for n, ready in ((1, LOW), (2, HIGH), (3, LOW))]
    assert by_list(hints) == {LOW: ids(1, 3), HIGH: ids(2)}
