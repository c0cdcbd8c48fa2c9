"""A bound on waiting for a store that holds even when letting go takes time. Decides nothing else.

`asyncio.timeout` ends when the canceled work has ended, and a driver may take seconds to part with a silent server.
Here the work goes on ending by itself, kept until it has, while the request is already answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from sluice.core.errors import OutcomeUnknown

T = TypeVar("T")


class Timeout:
    """Call it with a coroutine: its result, or OutcomeUnknown about `store` after `limit`."""

    def __init__(self, limit: timedelta, *, store: str = "PostgreSQL") -> None:
        self._seconds = limit.total_seconds()
        self._store = store
        self._working: set[asyncio.Task[Any]] = set()

    async def __call__(self, work: Coroutine[Any, Any, T]) -> T:
        """Safe to cancel: the work is canceled too, and not waited for."""
        task = asyncio.get_running_loop().create_task(work)  # owner: self._working
        self._working.add(task)
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait({task}, timeout=self._seconds)
        finally:
            if not task.done():
                task.cancel()
        if not task.done():
            raise OutcomeUnknown(self._store, "no answer in time")
        return task.result()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._working.discard(task)
        if not task.cancelled():
            task.exception()  # of work that nobody waits for any more: it was answered for
