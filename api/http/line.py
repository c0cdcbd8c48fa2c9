"""A line before something of which there is little: so many at once, the others wait a moment and then come again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from sluice.core.errors import Overloaded

_AGAIN = timedelta(seconds=1)


class Line:
    """`at_once` have their turn at a time. `what` is named when it does not come within `wait`."""

    def __init__(self, what: str, *, at_once: int, wait: timedelta) -> None:
        self._what = what
        self._turns = asyncio.Semaphore(at_once)
        self._seconds = wait.total_seconds()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it. Raises Overloaded."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise Overloaded(self._what, retry_after=_AGAIN) from None
        try:
            yield
        finally:
            self._turns.release()
