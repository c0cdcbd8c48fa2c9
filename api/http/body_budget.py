"""How much of requests this process holds, and of large bodies decodes, at once. Reads and decodes nothing itself.

A body of a megabyte takes twenty times as much while it is decoded, and a second of the one interpreter lock: without
a bound a few clients that send at once get nothing done, and the memory of all of them is held meanwhile. And what is
not whole costs its client nothing: without a bound many of them would hold all memory for as long as they like.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Self, TypeVar

from sluice.api.http.line import Line
from sluice.core.errors import Overloaded

T = TypeVar("T")

SMALL_BYTES = 64 << 10
"""Of each body so much is not counted once it is whole: the number of connections bounds it."""
UNFINISHED_BYTES = 20 << 20
"""Of heads and small bodies that are not whole, and of requests that wait for others on their connection."""
FREE_BYTES = 8 << 10
"""What an unfinished request may hold uncounted, as nearly all do: the number of connections bounds it."""
HEADER_BYTES = 128
"""About what a header takes beyond its own bytes."""
WAITING_BYTES = 16 << 10
"""About what a request that waits for others on its connection takes, without its body."""
ARRIVING_BYTES = 40 << 20
"""Of large bodies that are not whole; two of the largest batches in any case."""
HELD_BYTES = 128 << 20
"""Of large bodies from their first byte to their answer; four of the largest batches in any case."""
DECODED_AT_ONCE = 2
WAIT = timedelta(seconds=5)
"""How long a large body waits to be read, and to be decoded."""
_AGAIN = timedelta(seconds=1)


class Allowance:
    """`most` bytes of `what`, for all who ask, in their order."""

    def __init__(self, what: str, most: int) -> None:
        self._what = what
        self._left = most
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for what others have taken."""
        return bool(self._waiting)

    def take(self, size: int) -> None:
        """Raises Overloaded when there are not so many left."""
        if size > self._left:
            raise Overloaded(self._what, retry_after=_AGAIN)
        self._left -= size

    async def take_in_turn(self, size: int) -> None:
        """The same once there are so many left, and nobody waits who came before. Overloaded after WAIT."""
        if not self._waiting and size <= self._left:
            self._left -= size
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            async with asyncio.timeout(WAIT.total_seconds()):
                await turn
        except BaseException as ended:
            if turn.done() and not turn.cancelled():
                self.give(size)  # it came together with the end of the waiting
            else:
                turn.cancel()
                self.give(0)  # those behind may need less
            if isinstance(ended, TimeoutError):
                raise Overloaded(self._what, retry_after=_AGAIN) from None
            raise

    def give(self, size: int) -> None:
        """Those bytes are gone, and others have their turn."""
        self._left += size
        while self._waiting and (self._waiting[0][0] <= self._left or self._waiting[0][1].cancelled()):
            wanted, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._left -= wanted
                turn.set_result(None)


class Holding:
    """What one who comes and goes has of `allowance`."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self.size = 0

    def become(self, size: int) -> None:
        """Take what is more than before, or give back what is less. Raises Overloaded, and then nothing changes."""
        if size > self.size:
            self._allowance.take(size - self.size)
        elif size < self.size:
            self._allowance.give(self.size - size)
        self.size = size


class BodyBudget:
    """`batch`: bytes that the largest body may have."""

    def __init__(self, batch: int) -> None:
        self.unfinished = Allowance("the room for unfinished requests", UNFINISHED_BYTES)
        self.arriving = Allowance("the room for large bodies that arrive", max(ARRIVING_BYTES, 2 * batch))
        self.held = Allowance("the room for large bodies", max(HELD_BYTES, 4 * batch))
        self._decoding = Line("the line of large bodies", at_once=DECODED_AT_ONCE, wait=WAIT)

    def share(self) -> Share:
        """One request's part, given back on leaving it."""
        return Share(self)

    async def decode(self, read: Callable[[bytes | bytearray], T], body: bytes | bytearray) -> T:
        """`read(body)` on a thread, when it is its turn. Raises Overloaded when that does not come soon."""
        async with self._decoding.turn():
            return await asyncio.to_thread(read, body)


class Share:
    """What one request holds of the room."""

    __slots__ = ("_budget", "_expected", "_taken")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._taken = self._expected = 0

    async def expect(self, size: int) -> None:
        """Wait until a body of `size` bytes may arrive. Raises Overloaded when that takes too long."""
        if size > SMALL_BYTES and not self._expected:
            await self._budget.arriving.take_in_turn(size)
            self._expected = size

    def hold(self, size: int) -> None:
        """Its body has `size` bytes by now. Raises Overloaded."""
        more = size - SMALL_BYTES - self._taken
        if more > 0:
            self._budget.held.take(more)
            self._taken += more

    def arrived(self) -> None:
        """Its body is whole."""
        if self._expected:
            self._budget.arriving.give(self._expected)
            self._expected = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.arrived()
        if self._taken:
            self._budget.held.give(self._taken)
