"""The server's half of SimRedis: keys, blocked pops, subscribers. Speaks no protocol and knows no key of ours."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from redis.exceptions import OutOfMemoryError, ResponseError

WRONGTYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
Popped = list[bytes | list[bytes]]


class Other:
    """The value of a key that holds no list."""


@dataclass(slots=True, eq=False)
class Waiter:
    """A BLMPOP that found nothing: served on the server, whether or not anybody still reads the answer."""

    keys: Sequence[str]
    count: int
    answer: asyncio.Future[Popped | None]


@dataclass(slots=True, eq=False)
class Subscriber:
    """One pub/sub connection."""

    channels: set[str] = field(default_factory=set)
    messages: asyncio.Queue[tuple[bytes, bytes] | None] = field(default_factory=asyncio.Queue)


class SimRedis:
    """Lists (the left end is index 0), pub/sub, and what a test does to them behind everybody's back."""

    def __init__(self) -> None:
        self.keys: dict[str, deque[bytes] | Other] = {}
        self.waiters: list[Waiter] = []
        self.subscribers: list[Subscriber] = []
        self.readonly = False
        self.full = False
        """maxmemory is reached, and nothing is evicted: what takes room is refused, what frees some is not."""

    # The commands.

    def push(self, key: str, entries: Sequence[bytes], *, left: bool) -> int:
        """LPUSH or RPUSH. Whoever waits for the key is served at once."""
        if self.full:
            raise OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")
        found = self.list(key)
        if found is None:
            found = self.keys[key] = deque()
        (found.extendleft if left else found.extend)(entries)
        length = len(found)
        for waiter in [waiter for waiter in self.waiters if key in waiter.keys]:
            popped = self.pop(waiter.keys, waiter.count)
            if popped is not None:
                self.waiters.remove(waiter)
                if not waiter.answer.done():  # else its ids are lost: the client went away unnoticed
                    waiter.answer.set_result(popped)
        return length

    def pop(self, keys: Sequence[str], count: int) -> Popped | None:
        """LMPOP from the right: the first key that holds anything, and what it gave."""
        for key in keys:
            found = self.list(key)
            if found:
                popped = [found.pop() for _ in range(min(count, len(found)))]
                self._drop_empty(key)
                return [key.encode(), popped]
        return None

    def unlink(self, key: str) -> int:
        """UNLINK."""
        return int(self.keys.pop(key, None) is not None)

    def publish(self, channel: str, data: bytes) -> int:
        """PUBLISH: to those who listen now."""
        heard = [one for one in self.subscribers if channel in one.channels]
        for one in heard:
            one.messages.put_nowait((channel.encode(), data))
        return len(heard)

    def list(self, key: str) -> deque[bytes] | None:
        """The list of this key, None when there is no such key. Raises WRONGTYPE."""
        found = self.keys.get(key)
        if isinstance(found, Other):
            raise ResponseError(WRONGTYPE)
        return found

    def type(self, key: str) -> str:
        """TYPE."""
        found = self.keys.get(key)
        return "none" if found is None else "string" if isinstance(found, Other) else "list"

    # What a test does.

    def lose(self, wanted: Callable[[bytes], bool] = lambda _: True) -> int:
        """Every entry that is `wanted` is gone; how many there were."""
        lost = 0
        for key in list(self.keys):
            found = self.keys[key]
            if isinstance(found, deque):
                kept = deque(entry for entry in found if not wanted(entry))
                lost += len(found) - len(kept)
                self.keys[key] = kept
                self._drop_empty(key)
        return lost

    def double(self, random: Random, share: float = 0.5) -> int:
        """A share of the entries of each list is there once more, in any place."""
        doubled = 0
        for found in self.keys.values():
            if isinstance(found, deque):
                for entry in [entry for entry in found if random.random() < share]:
                    found.insert(random.randrange(len(found) + 1), entry)
                    doubled += 1
        return doubled

    def flush(self) -> None:
        """FLUSHALL."""
        self.keys.clear()

    def spoil(self, key: str) -> None:
        """The key holds a string."""
        self.keys[key] = Other()

    def litter(self, key: str, entry: bytes, *, oldest: bool = True) -> None:
        """Something that is no id, in the list, unless there is no room."""
        if not self.full:
            self.push(key, [entry], left=not oldest)

    def restart_empty(self) -> None:
        """Everything is gone, blocked pops and subscriptions end with a lost connection."""
        self.flush()
        self.hang_up()

    def hang_up(self) -> None:
        """Every connection that waits for something is lost."""
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.answer.done():
                waiter.answer.set_exception(ConnectionResetError("the server closed the connection"))
        subscribers, self.subscribers = self.subscribers, []
        for one in subscribers:
            one.messages.put_nowait(None)

    def _drop_empty(self, key: str) -> None:
        if not self.keys[key]:
            del self.keys[key]
