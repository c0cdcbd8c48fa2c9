"""Lists, publisher and signals over a Redis in memory: what they send and read. No delivery is at stake here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from fakeredis import FakeAsyncRedis, FakeServer

from sluice.core.audience import Audiences, Signature
from sluice.core.errors import StoreUnavailable
from sluice.core.events import Garbage, PublishFailed
from sluice.core.task import FencingToken, Kind, NewTask, QueueName, ReadyList, Task, TaskId
from sluice.db.broker import Broker
from sluice.db.keys import Keys
from sluice.db.publisher import Publisher
from sluice.db.ready import EXPIRES_SECONDS, ReadyLists
from sluice.db.signals import Signals
from sluice.db.tasks import Accepted
from tests.unit.support import Events, task_id

AT = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = Keys("ours")
A, B = ReadyList("one:5"), ReadyList("two:5")
KIND, QUEUE = Kind("echo"), QueueName("default")


class InMemory(Broker):
    """The three clients of a Broker on one server in memory."""

    def __init__(self) -> None:
        self.server = FakeServer()
        self.commands = FakeAsyncRedis(server=self.server)
        self.blocking = FakeAsyncRedis(server=self.server)
        self.messages = FakeAsyncRedis(server=self.server)


@pytest.fixture
async def broker() -> AsyncIterator[InMemory]:
    made = InMemory()
    yield made
    for client in (made.commands, made.blocking, made.messages):
        await client.aclose()


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def lists(broker: InMemory, events: Events) -> ReadyLists:
    return ReadyLists(broker, KEYS, events)


def ids(*numbers: int) -> list[TaskId]:
    return [task_id(number) for number in numbers]


async def test_ids_leave_in_the_order_in_which_they_came(lists: ReadyLists) -> None:
    await lists.push({A: ids(1, 2), B: ids(7)})
    await lists.push({A: ids(3)})
    assert await lists.pop([B, A], 5) == (B, ids(7))
    assert await lists.pop([B, A], 2) == (A, ids(1, 2))
    assert await lists.pop([B, A], 2) == (A, ids(3))
    assert await lists.pop([B, A], 2) is None


async def test_what_goes_back_is_the_oldest_again_in_its_order(lists: ReadyLists) -> None:
    await lists.push({A: ids(3)})
    await lists.push_oldest({A: ids(1, 2)})
    assert await lists.pop([A], 9) == (A, ids(1, 2, 3))


async def test_a_list_that_nobody_pushes_to_has_an_end(lists: ReadyLists, broker: InMemory) -> None:
    await lists.push({A: ids(1)})
    assert 0 < await broker.commands.ttl(KEYS.ready(A)) <= EXPIRES_SECONDS


async def test_entries_that_are_no_ids_are_dropped_and_counted(
    lists: ReadyLists, broker: InMemory, events: Events
) -> None:
    await lists.push({A: ids(1)})
    await broker.commands.lpush(KEYS.ready(A), "garbage", b"\xff")
    assert await lists.pop([A], 9) == (A, ids(1))
    assert events.all == [Garbage(2, where=KEYS.ready(A))]


@pytest.mark.parametrize("verb", ["push", "pop"])
async def test_a_key_that_is_no_list_is_unlinked(
    lists: ReadyLists, broker: InMemory, events: Events, verb: str
) -> None:
    await broker.commands.set(KEYS.ready(A), "text")
    if verb == "push":
        await lists.push({A: ids(1)})
        assert await lists.pop([A], 9) == (A, ids(1))
    else:
        assert await lists.pop([A], 9) is None
    assert events.all == [Garbage(1, where=KEYS.ready(A))]


async def test_trying_leaves_nothing_behind(lists: ReadyLists, broker: InMemory) -> None:
    await lists.try_pushing()
    assert await broker.commands.keys() == []


async def test_a_server_that_is_gone_is_told_in_our_words(lists: ReadyLists, broker: InMemory) -> None:
    broker.server.connected = False
    with pytest.raises(StoreUnavailable, match="Redis"):
        await lists.push({A: ids(1)})


class Roster:
    audiences = Audiences([Signature.of([QUEUE], [KIND])])


async def published(publisher: Publisher, *new: NewTask, due: bool = True) -> None:
    accepted = {task.id: Accepted(AT, AT if due else AT + timedelta(hours=1), due=due) for task in new}
    publisher.submitted(new, accepted)
    publisher.close()
    await publisher.run()


async def test_what_is_published_lies_in_the_list_of_its_audience(
    lists: ReadyLists, broker: InMemory, events: Events
) -> None:
    new = [NewTask(id=task_id(n), kind=KIND, priority=5) for n in (1, 2)]
    await published(Publisher(lists, Roster(), report=events), *new)
    audience = Roster.audiences.list_of(QUEUE, KIND, 5)
    assert audience is not None
    assert await lists.pop([audience], 9) == (audience, ids(1, 2))
    assert events.all == []


async def test_what_nobody_serves_or_is_not_due_is_not_pushed(
    lists: ReadyLists, broker: InMemory, events: Events
) -> None:
    await published(Publisher(lists, Roster(), report=events), NewTask(id=task_id(1), kind=Kind("other")))
    await published(Publisher(lists, Roster(), report=events), NewTask(id=task_id(2), kind=KIND), due=False)
    assert await broker.commands.keys() == []


async def test_a_push_that_fails_is_counted(lists: ReadyLists, broker: InMemory, events: Events) -> None:
    broker.server.connected = False
    await published(Publisher(lists, Roster(), report=events), NewTask(id=task_id(1), kind=KIND))
    [failed] = events.of(PublishFailed)
    assert failed.n == 1


async def test_a_cancel_names_the_run_that_the_task_had(broker: InMemory) -> None:
    task = cast("Task", SimpleNamespace(id=task_id(1), fencing_token=FencingToken(4)))
    async with broker.messages.pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(KEYS.cancels)
        await channel.get_message(timeout=0.1)
        await Signals(broker, KEYS).tell_canceled(task)
        message = await channel.get_message(timeout=1)
    assert message is not None
    assert message["data"] == f"{task_id(1)} 3".encode()


async def test_trying_to_tell_tells_nobody_anything(broker: InMemory) -> None:
    async with broker.messages.pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(KEYS.cancels)
        await channel.get_message(timeout=0.1)
        await Signals(broker, KEYS).try_telling()
        message = await channel.get_message(timeout=1)
    assert message is not None
    assert message["data"] == b""
