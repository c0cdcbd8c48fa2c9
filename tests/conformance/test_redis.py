"""The ready lists and the signals over a real Redis and over SimRedis: the same answers, reports and keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from sluice.core.errors import StoreUnavailable
from sluice.core.events import Event, Garbage
from sluice.core.ids import new_task_id
from sluice.core.task import FencingToken, ReadyList, Task, TaskId
from sluice.db.broker import Broker, ask
from sluice.db.keys import Keys
from sluice.db.ready import ReadyLists
from sluice.db.signals import Signals
from tests.simulation.redis import SimBroker
from tests.simulation.redis_server import SimRedis
from tests.support.eventually import eventually
from tests.support.stores import DEFAULT_LIST, list_of

LOW, OTHER = list_of(priority=1), list_of("other", 9)


@dataclass(frozen=True, slots=True)
class Shop:
    """Lists and signals of one prefix, and a client of nobody's for what others may do there."""

    ready: ReadyLists
    signals: Signals
    keys: Keys
    raw: Broker
    events: list[Event]

    async def do(self, *words: str | bytes | float) -> object:
        """Any command."""
        return await ask(self.raw.commands, *words)

    async def entries(self, ready: ReadyList = DEFAULT_LIST) -> list[bytes]:
        """What a list holds, the oldest first."""
        found = await self.ready.pop([ready], 1000)
        ids = found[1] if found else []
        await self.ready.push_oldest({ready: ids})
        return [str(one).encode() for one in ids]


@pytest.fixture(params=["simulated", "redis"])
async def shop(request: pytest.FixtureRequest, redis_url: str, redis_prefix: str) -> AsyncIterator[Shop]:
    server = SimRedis()
    simulated = request.param == "simulated"
    brokers = [SimBroker(server) if simulated else Broker(redis_url) for _ in range(2)]
    events: list[Event] = []
    keys = Keys(redis_prefix)
    yield Shop(
        ReadyLists(brokers[0], keys, events.append), Signals(brokers[0], keys), keys, brokers[1], events
    )
    for ready in (DEFAULT_LIST, LOW, OTHER):
        await ask(brokers[1].commands, "UNLINK", keys.ready(ready))
    for broker in brokers:
        await broker.close()


def ids(n: int) -> list[TaskId]:
    return [new_task_id() for _ in range(n)]


async def test_the_oldest_leave_first_and_the_first_list_that_has_any_is_served(shop: Shop) -> None:
    old, new = ids(2), ids(1)
    low = ids(3)
    await shop.ready.push({DEFAULT_LIST: old, LOW: low, OTHER: []})
    await shop.ready.push({DEFAULT_LIST: new})

    lists = [OTHER, DEFAULT_LIST, LOW]
    assert await shop.ready.pop(lists, 2) == (DEFAULT_LIST, old)
    assert await shop.ready.pop(lists, 2) == (DEFAULT_LIST, new)
    assert await shop.ready.pop_waiting(lists, 9) == (LOW, low)
    assert await shop.ready.pop(lists, 1) is None
    assert await shop.do("TYPE", shop.keys.ready(LOW)) in {b"none", "none"}, "an empty list is no list"
    await shop.ready.push({})


async def test_what_is_given_back_leaves_first_again(shop: Shop) -> None:
    first, second, third = ids(3)
    await shop.ready.push({DEFAULT_LIST: [third]})
    await shop.ready.push_oldest({DEFAULT_LIST: [first, second]})
    assert await shop.ready.pop([DEFAULT_LIST], 3) == (DEFAULT_LIST, [first, second, third])


async def test_a_pop_that_waits_is_served_at_once_and_ends_by_itself(shop: Shop) -> None:
    one, two = ids(2)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(shop.ready.pop_waiting([OTHER, DEFAULT_LIST], 5))
        await asyncio.sleep(0.05)
        await shop.ready.push({DEFAULT_LIST: [one, two]})
        async with asyncio.timeout(0.8):
            assert await waiting == (DEFAULT_LIST, [one, two])
    async with asyncio.timeout(5):
        assert await shop.ready.pop_waiting([DEFAULT_LIST], 5) is None


async def test_a_wake_ends_a_pop_with_empty_hands_and_leaves_the_ids(shop: Shop) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(shop.ready.pop_waiting([DEFAULT_LIST], 5))
        await asyncio.sleep(0.05)
        await shop.ready.wake()
        async with asyncio.timeout(0.8):
            assert await waiting is None
    await shop.ready.push({DEFAULT_LIST: ids(1)})
    await shop.ready.wake()
    assert await shop.ready.pop_waiting([DEFAULT_LIST], 1) is None, "the wake comes before every list"
    await shop.ready.wake()
    await shop.ready.forget_wake()
    found = await shop.ready.pop_waiting([DEFAULT_LIST], 1)
    assert found is not None


async def test_a_pop_that_is_cut_off_fails(shop: Shop) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(_refused(shop.ready.pop_waiting([DEFAULT_LIST], 5)))
        await asyncio.sleep(0.05)
        await shop.ready.cut()
        async with asyncio.timeout(0.8):
            assert await waiting
    task_id = ids(1)
    await shop.ready.push({DEFAULT_LIST: task_id})
    assert await shop.ready.pop_waiting([DEFAULT_LIST], 5) == (DEFAULT_LIST, task_id), "a new connection"


async def _refused(act: object) -> bool:
    try:
        await act  # type: ignore[misc]
    except StoreUnavailable:
        return True
    return False


async def test_garbage_is_removed_and_counted(shop: Shop) -> None:
    good = ids(1)
    key = shop.keys.ready(DEFAULT_LIST)
    await shop.ready.push({DEFAULT_LIST: good})
    await shop.do("RPUSH", key, b"\xff", str(good[0]).upper(), "")
    assert await shop.ready.pop([DEFAULT_LIST], 10) == (DEFAULT_LIST, good)
    assert shop.events == [Garbage(3, where=key)]


@pytest.mark.parametrize("verb", ["push", "pop", "pop_waiting"])
async def test_a_key_that_holds_no_list_is_dropped_and_the_question_repeated(shop: Shop, verb: str) -> None:
    key, good = shop.keys.ready(DEFAULT_LIST), ids(1)
    await shop.ready.push({LOW: good})
    await shop.do("SET", key, "x")
    match verb:
        case "push":
            await shop.ready.push({LOW: good, DEFAULT_LIST: good})
            assert await shop.entries() == [str(good[0]).encode()]
        case "pop":
            assert await shop.ready.pop([DEFAULT_LIST, LOW], 1) == (LOW, good)
        case _:
            assert await shop.ready.pop_waiting([DEFAULT_LIST, LOW], 1) == (LOW, good)
    assert shop.events == [Garbage(1, where=key)]


async def test_a_list_behind_one_that_serves_is_not_looked_at(shop: Shop) -> None:
    good = ids(1)
    await shop.ready.push({DEFAULT_LIST: good})
    await shop.do("SET", shop.keys.ready(LOW), "x")
    assert await shop.ready.pop([DEFAULT_LIST, LOW], 1) == (DEFAULT_LIST, good)
    assert shop.events == []


async def test_tries_do_what_the_lists_need_and_leave_nothing_to_pop(shop: Shop) -> None:
    await shop.ready.try_pushing()
    await shop.ready.try_popping()
    await shop.signals.try_telling()
    assert await shop.ready.pop([DEFAULT_LIST, LOW, OTHER], 9) is None
    assert shop.events == []


async def test_messages_reach_those_who_listen_and_nobody_else(shop: Shop) -> None:
    heard: list[object] = []
    task_id, last = ids(2)

    async def listen() -> None:
        async for message in shop.signals.listen():
            if message is not None:
                heard.append(message)
            if message == (last, FencingToken(0)):
                return

    async with asyncio.TaskGroup() as group:
        listening = group.create_task(listen())
        await eventually(lambda: _told(shop, b"garbage"))
        await shop.signals.tell_canceled(_canceled(task_id, token=7))
        await shop.signals.tell_canceled(_canceled(last, token=1))
        async with asyncio.timeout(5):
            await listening
    assert heard == [(task_id, FencingToken(6)), (last, FencingToken(0))]
    assert await eventually(lambda: _untold(shop))


async def _told(shop: Shop, text: bytes) -> bool:
    return bool(await shop.do("PUBLISH", shop.keys.cancels, text))


async def _untold(shop: Shop) -> bool:
    return await shop.do("PUBLISH", shop.keys.cancels, b"nobody") == 0


def _canceled(task_id: TaskId, token: int) -> Task:
    task = Task.__new__(Task)
    object.__setattr__(task, "id", task_id)
    object.__setattr__(task, "fencing_token", token)
    return task
