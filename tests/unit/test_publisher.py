from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from core.errors import OutcomeUnknown
from core.events import PublishFailed
from core.task import QueueName, ReadyList, TaskId
from db.claims import Pending
from db.publisher import Publisher
from tests.unit.support import Clock, Events, task_id, virtual

A, B = ReadyList(QueueName("default"), 5), ReadyList(QueueName("mail"), 9)


class Redis:
    """Lists and signals in one."""

    def __init__(self) -> None:
        self.done: list[tuple[str, object]] = []
        self.asked = 0
        self.lists_away = self.signals_away = False

    async def push(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> None:
        self._do("push", dict(ids), away=self.lists_away)

    async def push_oldest(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> None:
        self._do("push_oldest", dict(ids), away=self.lists_away)

    async def tell_delayed(self, due_in: timedelta) -> None:
        self._do("tell_delayed", due_in, away=self.signals_away)

    def _do(self, verb: str, what: object, *, away: bool) -> None:
        self.asked += 1
        if away:
            raise OutcomeUnknown("Redis", "gone")
        self.done.append((verb, what))


class Scene:
    def __init__(self) -> None:
        self.redis, self.events, self.clock = Redis(), Events(), Clock()
        self.publisher = Publisher(self.redis, self.redis, self.events, self.clock)


def pending(number: int, ready: ReadyList = A, *, due_in: float = 0) -> Pending:
    return Pending(task_id(number), ready, due=not due_in, due_in=timedelta(seconds=due_in))


@virtual
async def test_new_rows_go_to_the_new_end() -> None:
    s = Scene()
    assert await s.publisher.publish({A: [task_id(1), task_id(2)]})
    assert s.redis.done == [("push", {A: [task_id(1), task_id(2)]})]


@virtual
async def test_a_push_that_fails_fails_nobody_and_is_counted() -> None:
    s = Scene()
    s.redis.lists_away = True
    assert not await s.publisher.publish({A: [task_id(1), task_id(2)], B: [task_id(3)]})
    assert s.events.all == [PublishFailed(3, reason="gone")]


@virtual
async def test_rows_that_are_pending_again_go_where_they_were_and_the_next_delayed_one_is_told() -> None:
    s = Scene()
    await s.publisher.publish_again(
        [pending(1), pending(2, due_in=3), pending(3, B), pending(4, due_in=0.5), pending(5)]
    )
    assert s.redis.done == [
        ("push_oldest", {A: [task_id(1), task_id(5)], B: [task_id(3)]}),
        ("tell_delayed", timedelta(seconds=0.5)),
    ]


@virtual
async def test_nothing_is_sent_for_nothing() -> None:
    s = Scene()
    await s.publisher.publish_again([])
    assert s.redis.done == []


@virtual
async def test_after_a_failure_redis_is_left_alone_for_a_moment_and_what_is_not_sent_is_counted() -> None:
    s = Scene()
    s.redis.lists_away = True
    await s.publisher.publish_again([pending(1), pending(2), pending(3, due_in=0.5)])
    s.redis.lists_away = False
    assert not await s.publisher.publish({A: [task_id(4)]})

    assert s.redis.asked == 1, "a server that hangs costs each of them its timeout"
    assert [(event.n, event.reason) for event in s.events.of(PublishFailed)] == [
        (2, "gone"),
        (1, "Redis did not answer a moment ago"),
        (1, "Redis did not answer a moment ago"),
    ]

    s.clock.move(0.51)
    assert await s.publisher.publish({A: [task_id(4)]})
    assert s.redis.done == [("push", {A: [task_id(4)]})]


@virtual
async def test_a_signal_that_fails_fails_nobody() -> None:
    s = Scene()
    s.redis.signals_away = True
    await s.publisher.tell_delayed(timedelta(seconds=1))
    assert s.events.all == [PublishFailed(1, reason="gone")]


@virtual
async def test_without_redis_nothing_is_done_and_nothing_is_wrong() -> None:
    events = Events()
    publisher = Publisher(None, None, events)

    assert not await publisher.publish({A: [task_id(1)]})
    await publisher.publish_again([pending(1), pending(2, due_in=1)])
    await publisher.tell_delayed(timedelta(seconds=1))

    assert events.all == []
