"""Ids go to Redis behind the answer: in one push of what gathered, with a rest after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from sluice.core.audience import Audiences, Signature
from sluice.core.errors import OutcomeUnknown
from sluice.core.events import PublishFailed
from sluice.core.task import Kind, NewTask, QueueName, ReadyList, TaskId
from sluice.db import publisher as module
from sluice.db.claims import Pending
from sluice.db.publisher import Publisher
from sluice.db.tasks import Accepted
from tests.unit.support import Events, now, settled, task_id, virtual

AT = datetime(2026, 11, 22, tzinfo=UTC)
DEFAULT, MAIL, ECHO = QueueName("default"), QueueName("mail"), Kind("echo")
AUDIENCES = Audiences([Signature.of([DEFAULT, MAIL], [ECHO])])


def listed(queue: QueueName = DEFAULT, priority: int = 5) -> ReadyList:
    found = AUDIENCES.list_of(queue, ECHO, priority)
    assert found is not None
    return found


A, B = listed(), listed(MAIL, 9)
Done = tuple[str, dict[ReadyList, list[int]], float]


class Redis:
    """The lists; `away` refuses, `gate` holds up."""

    def __init__(self) -> None:
        self.done: list[Done] = []
        self.asked = 0
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def push(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> None:
        await self._do("push", ids)

    async def push_oldest(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> None:
        await self._do("push_oldest", ids)

    async def _do(self, verb: str, ids: Mapping[ReadyList, Sequence[TaskId]]) -> None:
        self.asked += 1
        await self.gate.wait()
        if self.away:
            raise OutcomeUnknown("Redis", "gone")
        self.done.append((verb, {ready: [each.int for each in found] for ready, found in ids.items()}, now()))

    @property
    def pushed(self) -> list[dict[ReadyList, list[int]]]:
        return [ids for _, ids, _ in self.done]


class Scene:
    def __init__(self, redis: Redis | None) -> None:
        self.redis = redis or Redis()
        self.events = Events()
        self.audiences = AUDIENCES
        self.publisher = Publisher(redis, self, report=self.events)

    def submit(self, *numbers: int, delay: float = 0.0, **values: object) -> None:
        """Hand over rows that were just committed, each due after the delay."""
        facts = {"kind": ECHO, **values}
        new = [NewTask(id=task_id(number), **facts) for number in numbers]  # type: ignore[arg-type]
        row = Accepted(AT, AT + timedelta(seconds=delay), due=delay == 0)
        self.publisher.submitted(new, dict.fromkeys((task.id for task in new), row))


@asynccontextmanager
async def running(redis: Redis | None) -> AsyncIterator[Scene]:
    s = Scene(redis)
    async with asyncio.TaskGroup() as group:
        group.create_task(s.publisher.run())
        yield s
        s.publisher.close()


def pending(number: int, queue: QueueName = DEFAULT, priority: int = 5, *, due_in: float = 0) -> Pending:
    return Pending(task_id(number), queue, ECHO, priority, due=not due_in, due_in=timedelta(seconds=due_in))


@virtual
async def test_new_rows_go_to_the_new_end_list_by_list() -> None:
    async with running(Redis()) as s:
        s.submit(1, 2)
        s.submit(3, queue=MAIL, priority=9)
        await settled()
        assert s.redis.done == [("push", {A: [1, 2], B: [3]}, 0.0)]


@virtual
async def test_rows_that_are_pending_again_go_where_they_were() -> None:
    async with running(Redis()) as s:
        s.publisher.again([pending(1), pending(3, MAIL, 9), pending(5)])
        await settled()
        assert s.redis.done == [("push_oldest", {A: [1, 5], B: [3]}, 0.0)]


@virtual
async def test_what_is_due_in_a_moment_is_pushed_then_and_never_before() -> None:
    async with running(Redis()) as s:
        await asyncio.sleep(5)
        s.submit(1, delay=0.4)
        s.publisher.again([pending(2, due_in=0.25)])
        await asyncio.sleep(3)
        assert s.redis.pushed == [{A: [2]}, {A: [1]}]
        assert [round(at, 2) for _, _, at in s.redis.done] == [5.25, 5.40]
        assert all(at >= 5 + due for (_, _, at), due in zip(s.redis.done, (0.25, 0.4), strict=True))


@virtual
async def test_what_is_due_later_is_promotes() -> None:
    async with running(Redis()) as s:
        s.submit(1, delay=1.5)
        s.publisher.again([pending(2, due_in=60)])
        await asyncio.sleep(100)
        assert s.redis.asked == 0
        assert not s.publisher._later


@virtual
async def test_what_nobody_alive_serves_is_not_pushed() -> None:
    async with running(Redis()) as s:
        s.submit(1, kind=Kind("nobodys"))
        s.submit(2, queue=QueueName("elsewhere"))
        s.submit(3, delay=0.1, kind=Kind("nobodys"))
        await asyncio.sleep(1)
        assert s.redis.asked == 0


@virtual
async def test_who_is_alive_counts_when_a_row_is_due() -> None:
    async with running(Redis()) as s:
        s.audiences = Audiences()
        s.submit(1, delay=0.5)
        await asyncio.sleep(0.3)
        s.audiences = AUDIENCES
        await asyncio.sleep(0.3)
        assert s.redis.pushed == [{A: [1]}]


@virtual
async def test_what_comes_during_a_push_shares_the_next() -> None:
    async with running(Redis()) as s:
        s.redis.gate.clear()
        s.submit(1)
        await settled()
        s.submit(2)
        s.submit(3)
        s.redis.gate.set()
        await settled()
        assert s.redis.pushed == [{A: [1]}, {A: [2, 3]}]


@virtual
async def test_after_a_failure_it_rests_and_then_pushes_what_gathered() -> None:
    async with running(Redis()) as s:
        s.redis.away = True
        s.submit(1, 2)
        await settled()
        assert s.events.all == [PublishFailed(2, reason="gone")]
        s.redis.away = False
        for number in range(3, 8):
            s.submit(number)
            await asyncio.sleep(0.1)
        assert s.redis.asked == 1, "a server that hangs costs a try a second"
        await asyncio.sleep(1)
        assert s.redis.pushed == [{A: [3, 4, 5, 6, 7]}]


@virtual
async def test_there_is_a_bound_and_what_goes_over_it_is_counted() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_WAITING", 10)
        async with running(Redis()) as s:
            s.submit(*range(1, 26))
            s.submit(*range(26, 51), delay=0.5)
            await asyncio.sleep(1)
            assert s.redis.pushed == [{A: list(range(1, 11))}, {A: list(range(26, 36))}]
            [failed] = s.events.of(PublishFailed)
            assert failed.n == 30


@virtual
async def test_closing_makes_one_last_try_for_what_is_due() -> None:
    redis = Redis()
    async with running(redis) as s:
        redis.away = True
        s.submit(1)
        await settled()
        s.submit(2)
        s.submit(3, delay=0.5)
    assert redis.asked == 2
    assert now() <= 1.1


@virtual
async def test_nothing_is_sent_for_nothing() -> None:
    async with running(Redis()) as s:
        s.publisher.again([])
        await asyncio.sleep(1)
        assert s.redis.asked == 0


@virtual
async def test_without_redis_nothing_is_kept() -> None:
    async with running(None) as s:
        s.submit(1)
        s.submit(2, delay=0.5)
        s.publisher.again([pending(3), pending(4, due_in=0.5)])
    assert not s.publisher._new
    assert not s.publisher._old
    assert not s.publisher._later
    assert s.events.all == []
