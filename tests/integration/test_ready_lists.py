"""The Redis lists hold hints, and whatever else is found there is removed and counted (S1 entries, S2 clients)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sluice.core.errors import StoreUnavailable
from sluice.core.events import Garbage
from sluice.core.ids import new_task_id
from sluice.core.task import ReadyList
from sluice.db import ready as module
from sluice.db.broker import BLOCK_SECONDS, Broker, ask
from sluice.db.ready import EXPIRES_SECONDS, ReadyLists
from tests.support.eventually import eventually
from tests.support.stores import DEFAULT_LIST, Stores, list_of

HIGH, OTHER = list_of(priority=9), list_of("other")
NOT_A_LIST = (
    ("SET", "text"),
    ("HSET", "field", "value"),
    ("SADD", "member"),
    ("XADD", "*", "field", "value"),
)
RUBBISH = (b"", b"x", b"\xff\xfe", b"123", str(new_task_id()).upper().encode(), b"[]", b"0" * 5000)


@asynccontextmanager
async def _waiting_pop(stores: Stores, lists: list[ReadyList]) -> AsyncIterator[Awaitable[Sequence[Any]]]:
    """A pop that the server has begun to hold up, and holds up no more at the end. Its answer or error, in a list."""
    me = await ask(stores.broker.blocking, "CLIENT", "ID")

    async def blocked() -> bool:
        return "flags=b" in str(await stores.redis("CLIENT", "LIST", "ID", me))

    async def over() -> bool:
        return not await blocked()

    popping = asyncio.gather(stores.ready.pop_waiting(lists, 9), return_exceptions=True)
    await eventually(blocked, timeout=2)
    yield popping
    await eventually(over, timeout=3)


async def test_the_first_in_is_the_first_out(stores: Stores) -> None:
    ids = [new_task_id() for _ in range(5)]
    await stores.ready.push({DEFAULT_LIST: ids[:3]})
    await stores.ready.push({DEFAULT_LIST: ids[3:], OTHER: [ids[0]]})
    assert len(await stores.entries()) == 5
    assert await stores.ready.pop([DEFAULT_LIST], 2) == (DEFAULT_LIST, ids[:2])
    assert await stores.ready.pop([DEFAULT_LIST], 100) == (DEFAULT_LIST, ids[2:])
    assert await stores.ready.pop([DEFAULT_LIST], 100) is None
    assert await stores.ready.pop([OTHER], 1) == (OTHER, [ids[0]])


async def test_what_is_put_at_the_old_end_leaves_first_in_its_order(stores: Stores) -> None:
    ids = [new_task_id() for _ in range(5)]
    await stores.ready.push({DEFAULT_LIST: ids[3:]})
    await stores.ready.push_oldest({DEFAULT_LIST: ids[:3]})
    assert (await stores.entries())[-2:] == [str(task_id) for task_id in reversed(ids[:2])]
    assert await stores.ready.pop([DEFAULT_LIST], 5) == (DEFAULT_LIST, ids)


async def test_the_first_list_that_has_any_is_served(stores: Stores) -> None:
    first, second = new_task_id(), new_task_id()
    await stores.ready.push({DEFAULT_LIST: [first], HIGH: [second]})
    assert await stores.ready.pop([OTHER, HIGH, DEFAULT_LIST], 9) == (HIGH, [second])
    assert await stores.ready.pop_waiting([OTHER, HIGH, DEFAULT_LIST], 9) == (DEFAULT_LIST, [first])


async def test_pushing_nothing_asks_redis_nothing(stores: Stores) -> None:
    await stores.ready.push({})
    await stores.ready.push_oldest({DEFAULT_LIST: []})
    assert await stores.entries() == []


async def test_a_waiting_pop_ends_by_itself(stores: Stores) -> None:
    began = time.monotonic()
    assert await stores.ready.pop_waiting([DEFAULT_LIST], 1) is None
    assert BLOCK_SECONDS * 0.9 < time.monotonic() - began < BLOCK_SECONDS + 0.9


async def test_a_waiting_pop_gets_what_comes_at_once(stores: Stores) -> None:
    async with _waiting_pop(stores, [HIGH, DEFAULT_LIST]) as popping:
        began, task_id = time.monotonic(), new_task_id()
        await stores.ready.push({DEFAULT_LIST: [task_id]})
        assert await popping == [(DEFAULT_LIST, [task_id])]
        assert time.monotonic() - began < 0.7


async def test_a_wake_ends_a_waiting_pop_and_leaves_nothing_behind(stores: Stores) -> None:
    async with _waiting_pop(stores, [DEFAULT_LIST]) as popping:
        began = time.monotonic()
        await stores.ready.wake()
        assert await popping == [None]
        assert time.monotonic() - began < 0.7
    await stores.ready.wake()
    await stores.ready.forget_wake()
    assert await stores.redis("KEYS", f"*{stores.keys.prefix}*") == []


async def test_one_consumers_wake_is_not_anothers(stores: Stores) -> None:
    other = ReadyLists(stores.broker, stores.keys, stores.events.append)
    began = time.monotonic()
    async with _waiting_pop(stores, [DEFAULT_LIST]) as popping:
        await other.wake()
        assert await popping == [None]
        assert time.monotonic() - began >= BLOCK_SECONDS
    await other.forget_wake()


async def test_a_pop_that_is_cut_off_fails_and_the_next_one_works(stores: Stores) -> None:
    async with _waiting_pop(stores, [DEFAULT_LIST]) as popping:
        began = time.monotonic()
        await stores.ready.cut()
        [answer] = await popping
        assert isinstance(answer, StoreUnavailable)
        assert time.monotonic() - began < 0.7
    task_id = new_task_id()
    await stores.ready.push({DEFAULT_LIST: [task_id]})
    assert await stores.ready.pop_waiting([DEFAULT_LIST], 1) == (DEFAULT_LIST, [task_id])


async def test_garbage_is_popped_away_and_counted(stores: Stores) -> None:
    first, last = new_task_id(), new_task_id()
    await stores.ready.push({DEFAULT_LIST: [first]})
    await stores.redis("LPUSH", stores.keys.ready(DEFAULT_LIST), *RUBBISH)
    await stores.ready.push({DEFAULT_LIST: [last]})
    assert await stores.ready.pop([DEFAULT_LIST], 100) == (DEFAULT_LIST, [first, last])
    assert stores.events == [Garbage(len(RUBBISH), where=stores.keys.ready(DEFAULT_LIST))]


@pytest.mark.parametrize("command", NOT_A_LIST, ids=lambda command: command[0])
async def test_a_key_of_another_type_is_unlinked_counted_and_the_others_are_served(
    stores: Stores, command: tuple[str, ...]
) -> None:
    verb, *words = command
    task_id = new_task_id()
    await stores.ready.push({DEFAULT_LIST: [task_id]})

    await stores.redis(verb, stores.keys.ready(HIGH), *words)
    assert await stores.ready.pop([HIGH, DEFAULT_LIST], 1) == (DEFAULT_LIST, [task_id])
    await stores.redis(verb, stores.keys.ready(DEFAULT_LIST), *words)
    assert await stores.ready.pop([DEFAULT_LIST], 1) is None
    assert stores.events == [
        Garbage(1, where=stores.keys.ready(HIGH)),
        Garbage(1, where=stores.keys.ready(DEFAULT_LIST)),
    ]


@pytest.mark.parametrize("oldest", [False, True])
async def test_pushing_onto_a_key_of_another_type_replaces_it(stores: Stores, oldest: bool) -> None:
    ids = [new_task_id(), new_task_id()]
    await stores.redis("SET", stores.keys.ready(DEFAULT_LIST), "text")
    push = stores.ready.push_oldest if oldest else stores.ready.push
    await push({HIGH: ids, DEFAULT_LIST: ids, OTHER: ids})
    for ready in (HIGH, DEFAULT_LIST, OTHER):
        assert await stores.ready.pop([ready], 9) == (ready, ids)
    assert stores.events == [Garbage(1, where=stores.keys.ready(DEFAULT_LIST))]


async def test_a_waiting_pop_meets_a_key_of_another_type(stores: Stores) -> None:
    task_id = new_task_id()
    await stores.redis("SET", stores.keys.ready(HIGH), "text")
    await stores.ready.push({DEFAULT_LIST: [task_id]})
    assert await stores.ready.pop_waiting([HIGH, DEFAULT_LIST], 1) == (DEFAULT_LIST, [task_id])
    assert stores.events == [Garbage(1, where=stores.keys.ready(HIGH))]


async def test_every_key_has_an_end(stores: Stores) -> None:
    """A list that its audience has left must not lie there for ever."""
    await stores.ready.push({DEFAULT_LIST: [new_task_id()], HIGH: [new_task_id()]})
    await stores.ready.push_oldest({OTHER: [new_task_id()]})
    await stores.ready.wake()
    keys = await stores.redis("KEYS", f"*{stores.keys.prefix}*")
    assert len(keys) == 4
    for key in keys:
        assert 0 < await stores.redis("TTL", key) <= EXPIRES_SECONDS


async def test_a_list_keeps_so_many_of_its_oldest_whichever_end_grows(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody may pop it, while rows are claimed without it and pushed again and again."""
    monkeypatch.setattr(module, "MOST_LISTED", 5)
    older, newer, oldest = ([new_task_id() for _ in range(4)] for _ in range(3))
    await stores.ready.push({DEFAULT_LIST: older, OTHER: newer[:1]})
    await stores.ready.push({DEFAULT_LIST: newer})
    assert await stores.ready.pop([OTHER], 9) == (OTHER, newer[:1])
    assert await stores.entries() == [str(task_id) for task_id in (newer[0], *reversed(older))]
    await stores.ready.push_oldest({DEFAULT_LIST: oldest})
    assert await stores.ready.pop([DEFAULT_LIST], 9) == (DEFAULT_LIST, [*oldest, older[0]])


async def test_tries_leave_nothing_that_anybody_could_pop(stores: Stores) -> None:
    await stores.ready.try_pushing()
    await stores.ready.try_popping()
    assert await stores.redis("KEYS", f"*{stores.keys.prefix}*") == []
    assert await stores.ready.pop([DEFAULT_LIST], 1) is None


async def test_tries_wait_for_nothing(stores: Stores) -> None:
    """A server with nothing else to do looks ten times a second whether a wait is over."""
    took = []
    for _ in range(10):
        began = time.monotonic()
        await stores.ready.try_popping()
        took.append(time.monotonic() - began)
    assert sorted(took)[5] < 0.05


async def test_a_redis_that_is_away_is_an_unavailable_store(stores: Stores) -> None:
    away = Broker("unix:///tmp/nobody-listens-here.sock")
    lists = ReadyLists(away, stores.keys, stores.events.append)
    for act in (
        lists.push({DEFAULT_LIST: [new_task_id()]}),
        lists.push_oldest({DEFAULT_LIST: [new_task_id()]}),
        lists.pop([DEFAULT_LIST], 1),
        lists.pop_waiting([DEFAULT_LIST], 1),
        lists.try_pushing(),
        lists.try_popping(),
        lists.wake(),
        lists.forget_wake(),
    ):
        with pytest.raises(StoreUnavailable):
            await act
    await lists.cut()
    await away.close()
