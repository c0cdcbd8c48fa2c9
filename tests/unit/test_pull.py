from __future__ import annotations

import asyncio

from tests.unit.pulling import LIST, Scene, beside, scene
from tests.unit.support import settled, task_id, virtual


@scene
async def test_as_many_ids_are_asked_for_as_there_are_free_slots_and_they_are_put_on_the_queue(
    s: Scene,
) -> None:
    s.capacity.take(1)
    s.redis.ids = [1, 2, 3, 4, 5]
    s.schedule_bell.clear()
    await settled()

    assert s.redis.asked == [("pop", 3)]
    assert s.waiting() == [task_id(1), task_id(2), task_id(3)]
    assert {(hint.list, hint.pulled_at) for hint in s.queue._queue} == {(LIST, 0.0)}  # type: ignore[attr-defined]
    await s.schedule_bell.wait()


@scene
async def test_what_waits_in_the_queue_counts_as_taken_room(s: Scene) -> None:
    s.redis.ids = [1]
    await asyncio.sleep(0.01)
    assert s.redis.asked[:2] == [("pop", 4), ("pop", 3)]


@scene
async def test_a_full_consumer_asks_for_nothing_until_a_slot_is_free(s: Scene) -> None:
    await asyncio.sleep(1.5)
    s.capacity.take(4)
    await asyncio.sleep(1)
    asked = len(s.redis.asked)
    await asyncio.sleep(60)
    assert len(s.redis.asked) == asked

    s.capacity.release(2)
    await settled()
    assert s.redis.asked[asked:] == [("pop_waiting", 2)]


@virtual
async def test_fast_handlers_are_fed_ahead_up_to_the_bound_of_the_queue() -> None:
    s = Scene()
    s.capacity.took(0.001)
    s.capacity.take(3)
    s.redis.ids = list(range(1, 100))

    async def look(s: Scene) -> None:
        await settled()
        assert s.redis.asked == [("pop", 4)]
        assert s.queue.full()

    await beside(s, look)


@virtual
async def test_fast_handlers_are_fed_again_when_less_than_half_of_the_bound_waits() -> None:
    s = Scene()
    s.capacity.took(0.001)
    s.redis.ids = list(range(20))

    async def test(s: Scene) -> None:
        await settled()
        assert s.redis.asked == [("pop", 4)]
        for _ in range(2):
            s.queue.get_nowait()
            s.capacity.take(1)
            s.capacity.release()
            await settled()
        assert s.redis.asked == [("pop", 4)], "half of the bound waits"
        s.queue.get_nowait()
        s.capacity.take(1)
        s.capacity.release()
        await settled()
        assert s.redis.asked[1] == ("pop", 3)

    await beside(s, test)


@virtual
async def test_ids_that_were_taken_from_the_queue_leave_room_although_no_slot_is_freed() -> None:
    s = Scene()
    s.capacity.took(0.001)
    s.redis.ids = list(range(20))

    async def test(s: Scene) -> None:
        await settled()
        s.empty()
        s.pull_bell.ring()
        await settled()
        assert len(s.redis.asked) == 2

    await beside(s, test)


@virtual
async def test_slow_handlers_get_no_more_than_can_start() -> None:
    s = Scene()
    s.capacity.took(1.0)
    s.capacity.take(3)
    s.redis.ids = list(range(1, 100))

    async def look(s: Scene) -> None:
        await asyncio.sleep(5)
        assert s.redis.asked == [("pop", 1)]

    await beside(s, look)


@scene
async def test_an_empty_list_is_waited_for_at_the_server_and_a_busy_one_is_not(s: Scene) -> None:
    await asyncio.sleep(0.5)
    assert s.redis.asked == [("pop", 4), ("pop_waiting", 4)]

    s.redis.ids = [1]
    await asyncio.sleep(0.15)
    assert s.redis.asked[2:] == [("pop", 3), ("pop_waiting", 3)]


@scene
async def test_a_stop_lets_the_pop_in_flight_end_by_itself_and_keeps_what_it_brings(s: Scene) -> None:
    s.redis.answers.clear()
    s.redis.ids = [1]
    await settled()
    s.stopping.request()
    await asyncio.sleep(3)
    assert s.waiting() == []
    s.redis.answers.set()
    await settled()
    assert s.waiting() == [task_id(1)]


@scene
async def test_while_no_claim_may_be_made_nothing_is_asked_for(s: Scene) -> None:
    s.redis.ids = [1]
    await settled()
    s.open = False
    await asyncio.sleep(1.1)
    asked = len(s.redis.asked)
    await asyncio.sleep(10)
    assert len(s.redis.asked) == asked
    s.open = True
    await asyncio.sleep(0.06)
    assert len(s.redis.asked) > asked
