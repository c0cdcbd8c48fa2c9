"""SimRedis with clients: the real db.ready and db.signals speak to it through what stands in for db.broker.Broker.

A client has the few methods of redis-py that they use. Each command goes through a port, where a test may refuse it,
delay it, or lose its answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError

from sluice.core.events import Report
from sluice.db.broker import Broker
from sluice.db.keys import Keys
from sluice.db.ready import ReadyLists
from sluice.db.signals import Signals
from tests.simulation.redis_server import SimRedis, Subscriber, Waiter

Port = Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Called with a command's name and what the server does when it arrives. A fault is an OSError or a RedisError."""

_WRITES = frozenset({"LPUSH", "RPUSH", "LMPOP", "BLMPOP", "UNLINK", "EXPIRE"})


async def straight(name: str, act: Callable[[], Awaitable[Any]]) -> Any:
    """The port without faults."""
    return await act()


class SimBroker(Broker):
    """The clients of one process, connected to `server`."""

    def __init__(self, server: SimRedis, port: Port = straight) -> None:
        self.commands, self.blocking, self.messages = (cast(Redis, SimClient(server, port)) for _ in range(3))


def ready_lists(server: SimRedis, keys: Keys, report: Report, port: Port = straight) -> ReadyLists:
    """The real ReadyLists over a client of its own."""
    return ReadyLists(SimBroker(server, port), keys, report)


def signals(server: SimRedis, keys: Keys, port: Port = straight) -> Signals:
    """The real Signals over a client of its own."""
    return Signals(SimBroker(server, port), keys)


class SimClient:
    """redis.asyncio.Redis, as far as we use it; `connection_pool` is itself."""

    def __init__(self, server: SimRedis, port: Port) -> None:
        self.server = server
        self.connection_pool = self
        self._port = port
        self._waiting: list[Waiter] = []

    async def execute_command(self, *words: str | bytes | float) -> Any:
        """One command, through the port."""
        return await self._port(str(words[0]), lambda: self.run(words))

    def pipeline(self, **_: bool) -> SimPipeline:
        """Commands that travel together."""
        return SimPipeline(self, self._port)

    @asynccontextmanager
    async def pubsub(self, *, ignore_subscribe_messages: bool = False) -> AsyncIterator[SimChannel]:
        """A connection of its own for listening. What is to be ignored does not even come."""
        subscriber = Subscriber()
        self.server.subscribers.append(subscriber)
        try:
            yield SimChannel(self.server, subscriber, self._port, confirms=not ignore_subscribe_messages)
        finally:
            if subscriber in self.server.subscribers:
                self.server.subscribers.remove(subscriber)

    async def disconnect(self, **_: bool) -> None:
        """Pops that wait fail here, and the server sees them go."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if waiter in self.server.waiters:
                self.server.waiters.remove(waiter)
            if not waiter.answer.done():
                waiter.answer.set_exception(RedisConnectionError("cut off"))

    async def aclose(self, **_: bool) -> None:
        """Nothing of this client waits any more."""
        await self.disconnect()

    async def run(self, words: Sequence[str | bytes | float]) -> Any:
        """What the server does with a command. Raises ResponseError as redis-py would."""
        name, *rest = words
        if self.server.readonly and name in _WRITES:
            raise ReadOnlyError("You can't write against a read only replica.")
        if name == "BLMPOP":
            return await self._pop_waiting(*_pop_words(rest[1:]), float(rest[0]))
        return _COMMANDS[str(name)](self.server, rest)

    async def _pop_waiting(self, keys: list[str], count: int, seconds: float) -> Any:
        found = self.server.pop(keys, count)
        if found is not None:
            return found
        waiter = Waiter(keys, count, asyncio.get_running_loop().create_future())
        self.server.waiters.append(waiter)
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                return await waiter.answer
        except TimeoutError:
            return None
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            if waiter in self.server.waiters:
                self.server.waiters.remove(waiter)


class SimPipeline:
    """Commands in one round trip; each has its own answer or error."""

    def __init__(self, client: SimClient, port: Port) -> None:
        self._client = client
        self._port = port
        self._queued: list[Sequence[str | bytes | float]] = []

    def execute_command(self, *words: str | bytes | float) -> SimPipeline:
        """Queue it."""
        self._queued.append(words)
        return self

    async def execute(self, *, raise_on_error: bool = True) -> list[Any]:
        """Send what is queued."""
        queued, self._queued = self._queued, []
        answers: list[Any] = await self._port(str(queued[0][0]), lambda: self._run(queued)) if queued else []
        for answer in answers:
            if raise_on_error and isinstance(answer, Exception):
                raise answer
        return answers

    async def _run(self, queued: list[Sequence[str | bytes | float]]) -> list[Any]:
        answers: list[Any] = []
        for words in queued:
            try:
                answers.append(await self._client.run(words))
            except RedisError as error:
                answers.append(error)
        return answers


_PONG, _SUBSCRIBED = (b"", b"PONG"), (b"", b"SUBSCRIBED")
_KINDS = {_PONG: "pong", _SUBSCRIBED: "subscribe"}


class SimChannel:
    """A pub/sub connection as redis-py shows it."""

    def __init__(self, server: SimRedis, subscriber: Subscriber, port: Port, *, confirms: bool) -> None:
        self._server = server
        self._subscriber = subscriber
        self._port = port
        self._confirms = confirms

    async def subscribe(self, *channels: str) -> None:
        """Hear these from now on."""

        async def act() -> None:
            self._subscriber.channels.update(channels)
            if self._confirms:
                self._subscriber.messages.put_nowait(_SUBSCRIBED)

        await self._port("SUBSCRIBE", act)

    async def get_message(self, *, timeout: float) -> dict[str, Any] | None:
        """The next message, None when there is none in time. Raises when the connection is lost."""
        try:
            async with asyncio.timeout(timeout):
                message = await self._subscriber.messages.get()
        except TimeoutError:
            return None
        if message is None:
            raise RedisConnectionError("Connection closed by server.")
        return {"type": _KINDS.get(message, "message"), "channel": message[0], "data": message[1]}

    async def ping(self) -> None:
        """Fails on a connection that is lost; on another the answer is a message."""

        async def act() -> None:
            if self._subscriber not in self._server.subscribers:
                raise RedisConnectionError("Connection closed by server.")
            self._subscriber.messages.put_nowait(_PONG)

        await self._port("PING", act)


def _pop_words(words: Sequence[str | bytes | float]) -> tuple[list[str], int]:
    """The keys and the count of `numkeys key [key ...] RIGHT COUNT n`."""
    n = int(words[0])
    return [str(key) for key in words[1 : 1 + n]], int(words[-1])


_COMMANDS: dict[str, Callable[[SimRedis, list[Any]], Any]] = {
    "LPUSH": lambda server, words: server.push(words[0], [_bytes(one) for one in words[1:]], left=True),
    "RPUSH": lambda server, words: server.push(words[0], [_bytes(one) for one in words[1:]], left=False),
    "LMPOP": lambda server, words: server.pop(*_pop_words(words)),
    "EXPIRE": lambda server, words: int(words[0] in server.keys),
    "UNLINK": lambda server, words: server.unlink(words[0]),
    "TYPE": lambda server, words: server.type(words[0]),
    "PUBLISH": lambda server, words: server.publish(words[0], _bytes(words[1])),
    "SET": lambda server, words: server.spoil(words[0]),
    "PING": lambda *_: b"PONG",
    **dict.fromkeys(("MULTI", "EXEC", "DISCARD"), lambda *_: b"OK"),
}


def _bytes(value: str | bytes | float) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
