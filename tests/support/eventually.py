"""Waiting for a fact instead of for a time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")
PAUSE = 0.01
LONGEST_PAUSE = 0.1


@overload
async def eventually(predicate: Callable[[], Awaitable[T]], *, timeout: float = 10.0) -> T: ...
@overload
async def eventually(predicate: Callable[[], T], *, timeout: float = 10.0) -> T: ...
async def eventually(predicate: Callable[[], T | Awaitable[T]], *, timeout: float = 10.0) -> T:
    """Look until `predicate()` (sync or async) is truthy, and return what it gave.

    An AssertionError that it raises counts as "not yet", and is what the test sees after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    pause = PAUSE
    while True:
        failure: AssertionError | None = None
        seen: T | None = None
        try:
            looked = predicate()
            seen = await looked if inspect.isawaitable(looked) else looked
            if seen:
                return seen
        except AssertionError as not_yet:
            failure = not_yet
        if time.monotonic() > deadline:
            raise failure or AssertionError(f"not within {timeout:g} s; last seen: {seen!r}")
        await asyncio.sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 1.5)
