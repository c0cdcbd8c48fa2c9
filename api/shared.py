"""One look for everybody who asks while it is under way: a flood of questions costs the stores what one does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Call it to look, or to wait for the look that another began. `look` says what it found and never raises."""

    def __init__(self, look: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._look = look
        self._under_way: asyncio.Task[T] | None = None

    async def __call__(self) -> T:
        """Safe to cancel: the look goes on for the others."""
        if self._under_way is None or self._under_way.done():
            self._under_way = asyncio.get_running_loop().create_task(self._look())  # owner: self._under_way
        return await asyncio.shield(self._under_way)
