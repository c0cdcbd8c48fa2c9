from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from consumer.pace import Pace
from consumer.periodic import Stopping
from consumer.presence import Presence
from consumer.pull import Pull, lists_in_turn
from consumer.schedule import Hint
from consumer.slots import Slots
from core.errors import OutcomeUnknown, StoreUnavailable
from core.events import StoreLost
from core.task import Claim, QueueName, ReadyList, TaskId
from tests.unit.support import Events, claim, now, settled, task_id, virtual

LIST = ReadyList(QueueName("default"), 5)
Found = tuple[ReadyList, list[TaskId]] | None


class Redis:
    """Pops what the test puts on `ids`; a waiting pop lasts up to a second."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.asked: list[tuple[str, int]] = []
        self.away = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def pop(self, lists: Sequence[ReadyList], n: int) -> Found:
        assert LIST in lists
        self.asked.append(("pop", n))
        return await self._take(n)

    async def pop_waiting(self, lists: Sequence[ReadyList], n: int) -> Found:
        assert LIST in lists
        self.asked.append(("pop_waiting", n))
        for _ in range(10):
            if not self.ids and not self.away:
                await asyncio.sleep(0.1)
        return await self._take(n)

    async def ping(self) -> None:
        if self.away:
            raise StoreUnavailable("Redis", "gone")

    async def _take(self, n: int) -> Found:
        await self.answers.wait()
        if self.away:
            raise StoreUnavailable("Redis", "gone")
        taken, self.ids = self.ids[:n], self.ids[n:]
        return (LIST, [task_id(number) for number in taken]) if taken else None


class Scene:
    """A pull between a Redis, rows to claim and a queue that nobody empties. It is itself the gate and the work."""

    def __init__(self, capacity: int = 4, *, without_redis: bool = False) -> None:
        self.redis = Redis()
        self.events = Events()
        self.open = True
        self.rows: list[int] = []
        self.claims: list[int] = []
        self.claim_fails = False
        self.started: list[Claim] = []
        self.queue: asyncio.Queue[Hint] = asyncio.Queue(capacity)
        self.pace = Pace()
        self.stopping = Stopping()
        self.room, self.fed = self.stopping.bell(), self.stopping.bell()
        self.slots = Slots(capacity, self.room.ring)
        ready = None if without_redis else self.redis
        self.presence = Presence(ready, self.events)
        self.pull = Pull(
            ready=ready,
            presence=self.presence,
            queues=[LIST.queue],
            queue=self.queue,
            slots=self.slots,
            gate=self,  # type: ignore[arg-type] # the two members that it uses
            work=self,
            pace=self.pace,
            fed=self.fed,
            stopping=self.stopping,
            bell=self.room,
            clock=now,
            report=self.events,
        )

    async def claim_ready(self, lists: Sequence[ReadyList], n: int) -> list[Claim]:
        assert LIST in lists
        self.claims.append(n)
        await asyncio.sleep(0.001)
        if self.claim_fails:
            raise OutcomeUnknown("PostgreSQL", "gone")
        taken, self.rows = self.rows[:n], self.rows[n:]
        return [claim(number) for number in taken]

    def start(self, claims: Sequence[Claim]) -> None:
        self.started.extend(claims)

    def waiting(self) -> list[TaskId]:
        return [hint.id for hint in self.queue._queue]  # type: ignore[attr-defined] # a look that takes nothing

    def empty(self) -> None:
        while not self.queue.empty():
            self.queue.get_nowait()


async def beside(s: Scene, test: Callable[[Scene], Awaitable[None]]) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(s.pull.run())
        await test(s)
        s.stopping.request()


def scene(test: Callable[[Scene], Awaitable[None]]) -> Callable[[], Any]:
    """Run the test with a pull that it starts itself, or beside one."""

    @virtual
    async def run() -> None:
        await beside(Scene(), test)

    run.__name__ = test.__name__
    return run


@scene
async def test_as_many_ids_are_asked_for_as_there_are_free_slots_and_they_are_put_on_the_queue(
    s: Scene,
) -> None:
    s.slots.take(1)
    s.redis.ids = [1, 2, 3, 4, 5]
    s.fed.clear()
    await settled()

    assert s.redis.asked == [("pop", 3)]
    assert s.waiting() == [task_id(1), task_id(2), task_id(3)]
    assert {(hint.list, hint.pulled_at) for hint in s.queue._queue} == {(LIST, 0.0)}  # type: ignore[attr-defined]
    await s.fed.wait()


@scene
async def test_what_waits_in_the_queue_counts_as_taken_room(s: Scene) -> None:
    s.redis.ids = [1]
    await asyncio.sleep(0.01)
    assert s.redis.asked[:2] == [("pop", 4), ("pop", 3)]


@scene
async def test_a_full_consumer_asks_for_nothing_until_a_slot_is_free(s: Scene) -> None:
    await asyncio.sleep(1.5)
    s.slots.take(4)
    await asyncio.sleep(1)
    asked = len(s.redis.asked)
    await asyncio.sleep(60)
    assert len(s.redis.asked) == asked

    s.slots.release(2)
    await settled()
    assert s.redis.asked[asked:] == [("pop_waiting", 2)]


@virtual
async def test_fast_handlers_are_fed_ahead_up_to_the_bound_of_the_queue() -> None:
    s = Scene()
    s.pace(0.001)
    s.slots.take(3)
    s.redis.ids = list(range(1, 100))

    async def look(s: Scene) -> None:
        await settled()
        assert s.redis.asked == [("pop", 4)]
        assert s.queue.full()

    await beside(s, look)


@virtual
async def test_slow_handlers_get_no_more_than_can_start() -> None:
    s = Scene()
    s.pace(1.0)
    s.slots.take(3)
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
async def test_while_the_gate_is_closed_nothing_is_asked_for(s: Scene) -> None:
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


@scene
async def test_when_redis_is_lost_rows_are_claimed_and_when_it_is_back_its_lists_are_popped(s: Scene) -> None:
    s.redis.away = True
    s.rows = [7, 8]
    await asyncio.sleep(0.02)
    assert s.started == [claim(7), claim(8)]
    assert s.events.of(StoreLost) == [StoreLost("Redis", doing="pull", reason="gone")]

    s.redis.away = False
    await s.presence.step()
    s.redis.ids = [1]
    await asyncio.sleep(0.4)
    assert s.waiting() == [task_id(1)]


@virtual
async def test_without_redis_claims_are_for_free_slots_alone_and_take_them_before_they_ask() -> None:
    s = Scene(without_redis=True)
    s.slots.take(1)
    s.rows = [1, 2, 3, 4]

    async def look(s: Scene) -> None:
        await asyncio.sleep(0)
        assert s.slots.free == 0
        await asyncio.sleep(0.01)
        assert s.claims == [3]
        assert s.started == [claim(1), claim(2), claim(3)]

        s.slots.release()
        await asyncio.sleep(0.01)
        assert s.claims == [3, 1]

    await beside(s, look)


@virtual
async def test_slots_that_no_row_needed_are_free_again_and_an_idle_consumer_looks_some_times_a_second() -> (
    None
):
    s = Scene(without_redis=True)

    async def look(s: Scene) -> None:
        s.rows = [1]
        await asyncio.sleep(0.01)
        assert s.slots.free == 3
        del s.claims[:]
        await asyncio.sleep(3)
        assert 9 <= len(s.claims) <= 11

    await beside(s, look)


@virtual
async def test_hints_that_still_wait_when_redis_is_lost_keep_their_slots() -> None:
    s = Scene()
    s.redis.ids = [1, 2, 3]

    async def look(s: Scene) -> None:
        await settled()
        s.redis.away = True
        await asyncio.sleep(2)
        assert set(s.claims) == {1}

    await beside(s, look)


@virtual
async def test_a_claim_that_fails_frees_its_slots_and_is_tried_again_after_a_pause() -> None:
    s = Scene(without_redis=True)
    s.claim_fails = True

    async def look(s: Scene) -> None:
        await asyncio.sleep(0.1)
        assert s.slots.free == 4
        assert s.events.all == [StoreLost("PostgreSQL", doing="claim", reason="gone")]
        assert s.claims == [4]
        await asyncio.sleep(1)
        assert 3 <= len(s.claims) <= 5

    await beside(s, look)


def test_the_highest_priority_is_asked_first_and_within_it_another_queue_each_time() -> None:
    turns = lists_in_turn([QueueName("a"), QueueName("b"), QueueName("c")])
    four = [next(turns) for _ in range(4)]

    assert [ready.priority for ready in four[0]] == [p for p in range(9, -1, -1) for _ in range(3)]
    assert [[ready.queue for ready in turn[:3]] for turn in four] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]
    assert all(set(turn) == set(four[0]) for turn in four)
