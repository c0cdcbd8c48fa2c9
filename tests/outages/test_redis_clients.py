"""The Redis clients: nothing is sent twice, nobody waits for another's answer, and no server is kept too long (S2)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest

from sluice.core.errors import StoreUnavailable
from sluice.core.events import Event
from sluice.core.ids import new_task_id
from sluice.db.broker import BLOCK_SECONDS, COMMAND_SECONDS, Broker, ask
from sluice.db.keys import Keys
from sluice.db.ready import ReadyLists
from sluice.db.signals import Signals
from tests.outages.conftest import Own, lead_to
from tests.support.consuming import Consumers
from tests.support.counting import completed
from tests.support.eventually import eventually
from tests.support.proxy import Proxy
from tests.support.stores import DEFAULT_LIST, Stores, list_of, new

LOW = list_of(priority=1)

REPLICA = ("REPLICAOF", "127.0.0.1", "1")
SLACK = 0.7
"""What a busy machine may add."""


class Clients:
    """The clients of one process behind a proxy, and how often each command was sent."""

    def __init__(self, proxy: Proxy, prefix: str) -> None:
        self.proxy = proxy
        self.broker, keys = Broker(proxy.url), Keys(prefix)
        self.events: list[Event] = []
        self.ready = ReadyLists(self.broker, keys, self.events.append)
        self.signals = Signals(self.broker, keys)
        self.sent = b""
        proxy.on_sent = self._sent

    def _sent(self, data: bytes) -> None:
        self.sent += data

    def sent_and_broken(self, data: bytes) -> None:
        self._sent(data)
        self.proxy.drop()

    async def waits(self) -> None:
        """Until a blocking pop is on its way."""
        await eventually(lambda: b"BLMPOP" in self.sent)


@pytest.fixture
async def clients(redis: Proxy, redis_prefix: str) -> AsyncIterator[Clients]:
    them = Clients(redis, redis_prefix)
    yield them
    await them.broker.close()


@pytest.mark.parametrize("how", ["silent", "broken"])
@pytest.mark.parametrize("command", ["LMPOP", "BLMPOP"])
async def test_a_pop_whose_answer_does_not_come_is_sent_once_and_fails(
    clients: Clients, how: str, command: str
) -> None:
    """Sent again in silence it would take another batch of ids and lose the first."""
    pop = clients.ready.pop if command == "LMPOP" else clients.ready.pop_waiting
    await clients.ready.push({DEFAULT_LIST: [new_task_id()]})
    assert await pop([DEFAULT_LIST], 10) is not None
    clients.sent = b""
    clients.proxy.lose_answers()
    if how == "broken":
        clients.proxy.on_sent = clients.sent_and_broken
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await pop([DEFAULT_LIST], 10)
    limit = COMMAND_SECONDS if command == "LMPOP" else BLOCK_SECONDS + 1
    assert time.monotonic() - began < limit + SLACK
    assert clients.sent.count(f"\r\n{command}\r\n".encode()) == 1


async def test_a_blocking_pop_that_does_not_return_is_replaced_and_its_late_answer_is_nobodys(
    clients: Clients, stores: Stores
) -> None:
    lost, found = new_task_id(), new_task_id()
    async with asyncio.TaskGroup() as group:
        pop = group.create_task(_failing(clients.ready.pop_waiting([DEFAULT_LIST], 1)))
        await clients.waits()
        clients.proxy.lose_answers()
        await stores.ready.push({DEFAULT_LIST: [lost]})
        assert await pop < BLOCK_SECONDS + 1 + SLACK
    clients.proxy.resume()  # the old answer comes now
    await stores.ready.push({DEFAULT_LIST: [found]})
    assert await clients.ready.pop_waiting([DEFAULT_LIST], 1) == (DEFAULT_LIST, [found])


async def test_commands_and_messages_do_not_wait_for_a_blocking_pop(clients: Clients) -> None:
    async def listen() -> None:
        async for _ in clients.signals.listen():
            pass

    async with asyncio.TaskGroup() as group:
        listening = group.create_task(listen())
        popping = group.create_task(clients.ready.pop_waiting([DEFAULT_LIST], 1))
        await clients.waits()
        await eventually(lambda: b"SUBSCRIBE" in clients.sent)
        began = time.monotonic()
        await asyncio.gather(*(clients.ready.pop([LOW], 1) for _ in range(20)))
        assert not popping.done() or time.monotonic() - began > BLOCK_SECONDS / 2
        names = [client["name"] for client in await clients.broker.commands.client_list()]
        assert names.count("sluice") >= 3
        assert await popping is None
        listening.cancel()


async def _failing(pop: Awaitable[object]) -> float:
    """How long it takes until it fails."""
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await pop
    return time.monotonic() - began


@pytest.fixture
async def demoted(own: Own) -> AsyncIterator[Broker]:
    """A client of this test's Redis, which is a master again at the end."""
    broker = Broker(own.urls.redis_url)
    yield broker
    await ask(broker.commands, "REPLICAOF", "NO", "ONE")
    await broker.close()


@pytest.mark.parametrize("hears", ["a pop", "a waiting pop", "a push", "a ping"])
async def test_whoever_hears_readonly_moves_all_clients_to_the_server_that_took_over(
    clients: Clients, demoted: Broker, other_valkey: str, hears: str
) -> None:
    """Connections that are open stay with the old server, whose address the new one has taken."""
    task_id = new_task_id()
    acts: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "a pop": lambda: clients.ready.pop([DEFAULT_LIST], 1),
        "a waiting pop": lambda: clients.ready.pop_waiting([DEFAULT_LIST], 1),
        "a push": lambda: clients.ready.push({DEFAULT_LIST: [task_id]}),
        "a ping": clients.ready.try_popping,
    }
    for act in acts.values():
        await act()
    await ask(demoted.commands, *REPLICA)
    lead_to(clients.proxy, other_valkey)
    with pytest.raises(StoreUnavailable, match=r"(?i)read.?only"):
        await acts[hears]()
    await clients.ready.push({DEFAULT_LIST: [task_id]})
    assert await clients.ready.pop_waiting([DEFAULT_LIST], 1) == (DEFAULT_LIST, [task_id])
    assert await clients.ready.pop([DEFAULT_LIST], 1) is None


async def test_a_consumer_whose_redis_takes_no_writes_works_from_the_rows_and_says_so_once(
    stores: Stores, consumers: Consumers, demoted: Broker, redis: Proxy, other_valkey: str
) -> None:
    looks = 0

    def look(data: bytes) -> None:
        nonlocal looks
        looks += b"UNLINK" in data

    consumer = await consumers.start()
    await stores.submit_and_push([new("count")])
    await eventually(lambda: completed(stores, 1))
    await ask(demoted.commands, *REPLICA)
    await consumer.event("store.lost", store="Redis", doing="pull")
    await stores.submit(*(new("count") for _ in range(20)))
    await eventually(lambda: completed(stores, 21), timeout=15)
    redis.on_sent = look
    await eventually(lambda: looks >= 3)
    assert len(consumer.events("store.lost", doing="pull")) == 1

    lead_to(redis, other_valkey)
    await consumer.event("store.back", store="Redis", doing="pull")
    after = Broker(other_valkey)
    await eventually(lambda: _blocks(after))
    await after.close()
    assert (await consumer.stop())[0] == 0


async def _blocks(broker: Broker) -> bool:
    return b"flags=b" in bytes(await ask(broker.commands, "CLIENT", "LIST"))
