"""How much of large bodies this process holds and decodes at once. Reads and decodes nothing itself.

A body of a megabyte takes twenty times as much while it is decoded, and a second of the one interpreter lock: without
a bound a few clients that send at once get nothing done, and the memory of all of them is held meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Self, TypeVar

from api.line import Line
from core.errors import Overloaded

T = TypeVar("T")

SMALL_BYTES = 64 << 10
"""Of each body so much is not counted: the number of connections bounds it."""
DECODED_AT_ONCE = 2
WAIT = timedelta(seconds=5)
"""How long a body waits to be decoded."""
_AGAIN = timedelta(seconds=1)


class Room:
    """`most`: bytes of large bodies, from their arrival to their answer."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._decoding = Line("the line of large bodies", at_once=DECODED_AT_ONCE, wait=WAIT)

    def share(self) -> Share:
        """One request's part, given back on leaving it."""
        return Share(self)

    def take(self, size: int) -> None:
        """Raises Overloaded when there is no room for so many more bytes."""
        if size > self._left:
            raise Overloaded("the room for large bodies", retry_after=_AGAIN)
        self._left -= size

    def give(self, size: int) -> None:
        """Those bytes are gone."""
        self._left += size

    async def decode(self, read: Callable[[bytes | bytearray], T], body: bytes | bytearray) -> T:
        """`read(body)` on a thread, when it is its turn. Raises Overloaded when that does not come soon."""
        async with self._decoding.turn():
            return await asyncio.to_thread(read, body)


class Share:
    """What one request holds of the room."""

    __slots__ = ("_room", "_taken")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._taken = 0

    def hold(self, size: int) -> None:
        """Its body has `size` bytes by now. Raises Overloaded."""
        more = size - SMALL_BYTES - self._taken
        if more > 0:
            self._room.take(more)
            self._taken += more

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._taken:
            self._room.give(self._taken)
