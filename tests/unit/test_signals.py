from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from sluice.core.errors import StoreUnavailable
from sluice.core.task import FencingToken, ReadyList, Task
from sluice.db.broker import Broker
from sluice.db.keys import Keys
from sluice.db.ready import decode
from sluice.db.signals import Signals, _decode
from tests.unit.support import now, task_id, virtual

KEYS = Keys("p")
ID = str(task_id(1)).encode()


class Commands:
    """Keeps what was published."""

    def __init__(self) -> None:
        self.commands = self
        self.said: list[tuple[Any, ...]] = []
        self.speaking = nullcontext[None]

    async def execute_command(self, *words: Any) -> None:
        self.said.append(words)


class Canceled:
    id, fencing_token = task_id(1), FencingToken(4)


@virtual
async def test_a_cancel_names_the_run_that_the_task_had_and_is_understood_by_its_listener() -> None:
    broker = Commands()
    await Signals(cast("Broker", broker), KEYS).tell_canceled(cast("Task", Canceled))

    [(command, channel, text)] = broker.said
    assert (command, channel) == ("PUBLISH", KEYS.cancels)
    assert _decode(text.encode()) == (task_id(1), FencingToken(3))


class Channel:
    """A pub/sub connection that confirms its subscription, and answers each PING unless it is half-open."""

    def __init__(self, *, half_open: bool) -> None:
        self.half_open = half_open
        self.confirmations = 1
        self.pongs = self.pings = 0

    @asynccontextmanager
    async def pubsub(self, *, ignore_subscribe_messages: bool) -> AsyncIterator[Channel]:
        assert ignore_subscribe_messages
        yield self

    async def subscribe(self, *channels: str) -> None:
        assert channels == (KEYS.cancels,)

    async def ping(self) -> None:
        self.pings += 1
        self.pongs += not self.half_open

    async def get_message(self, *, timeout: float) -> dict[str, Any] | None:
        if self.confirmations:
            self.confirmations -= 1
            return None
        if self.pongs:
            self.pongs -= 1
            return {"type": "pong", "channel": None, "data": b""}
        await asyncio.sleep(timeout)
        return None


@pytest.mark.parametrize("half_open", [False, True])
def test_a_listener_whose_ping_nobody_answers_has_lost_its_connection(half_open: bool) -> None:
    @virtual
    async def scene() -> None:
        broker, channel = Broker("redis://127.0.0.1:1"), Channel(half_open=half_open)
        broker.messages = cast("Redis", channel)
        heard = 0
        try:
            async with asyncio.timeout(60):
                async for message in Signals(broker, KEYS).listen():
                    assert message is None
                    heard += 1
        except StoreUnavailable:
            assert half_open
            assert now() <= 15
        except TimeoutError:
            assert not half_open
            assert channel.pings >= 10
        assert heard >= 1

    scene()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        ID,
        ID + b" x",
        ID + b" 1 2",
        b"nobody 1",
        b"\xff 1",
        ID + b" " + b"9" * 5000,
        None,
        7,
    ],
)
def test_a_message_that_names_no_run_is_passed_over(data: object) -> None:
    assert _decode(data) is None


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"wake",
        ID[:-1],
        ID + b"\n",
        b" " + ID,
        ID.upper().replace(b"0", b"A"),
        b"{" + ID + b"}",
        ID.replace(b"-", b""),
        b"\xff" * 36,
    ],
)
def test_a_list_entry_that_is_no_id_is_none(entry: bytes) -> None:
    assert decode(entry) is None
    assert decode(ID) == task_id(1)


def test_every_name_in_redis_is_its_own_and_lies_in_the_prefixes_slot() -> None:
    for prefix, root in (("p", "{p}:"), ("{app}:p", "{app}:p:"), ("p:{app}", "p:{app}:")):
        keys = Keys(prefix)
        lists = [ReadyList("ours:q:1"), ReadyList("ours:q:2")]
        names = [keys.cancels, keys.wake("x"), keys.probe("x"), *map(keys.ready, lists)]
        assert all(name.startswith(root) for name in names)
        assert len(set(names)) == len(names)
        assert [keys.to_ready(keys.ready(ready).encode()) for ready in lists] == lists
