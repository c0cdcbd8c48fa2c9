"""Waiting for what others do: wake-ups that are not lost, a stop for many, an act that a stop cuts short."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

EARLY = 0.001
"""Seconds: uvloop's timers may fire almost a millisecond early, and a turn asked for too early is a turn lost."""


class Bell:
    """A wake-up that is not lost: it is cleared before its owner looks, never after."""

    __slots__ = ("_rung", "ring")

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self.ring: Callable[[], None] = self._rung.set
        """Wake whoever waits, or whoever waits next. Several times for every task, hence the event's own method."""

    def clear(self) -> None:
        """Have a ring from here on count for the next wait."""
        self._rung.clear()

    async def wait(self, seconds: float | None = None) -> None:
        """Return when the bell rings, or after `seconds`. Safe to cancel."""
        await is_set(self._rung, seconds)


class Stopping:
    """A stop that is asked for once and seen by all: it rings the bells that it has handed out."""

    def __init__(self) -> None:
        self.requested = False
        self._bells: list[Bell] = []

    def bell(self) -> Bell:
        """Make a bell that also rings when the stop is asked for."""
        bell = Bell()
        self._bells.append(bell)
        return bell

    def request(self) -> None:
        """Ask everybody to end after the round that is under way."""
        self.requested = True
        for bell in self._bells:
            bell.ring()


async def is_set(event: asyncio.Event, seconds: float | None = None) -> bool:
    """Wait for `event`, for at most `seconds`; return whether it is set. Safe to cancel."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def unless(
    event: asyncio.Event, act: Coroutine[None, None, object], seconds: float | None = None
) -> bool:
    """Do `act` to its end, unless `event` comes or `seconds` pass before; return whether it was done.

    What is not done is canceled, and has ended on return. Raises what `act` raises.
    """
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(event.wait())
        acting = group.create_task(_caught(act))
        await asyncio.wait({acting, waiting}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        acting.cancel()
    if acting.cancelled():
        return False
    error = acting.result()
    if error is not None:
        raise error
    return True


async def _caught(act: Coroutine[None, None, object]) -> Exception | None:
    """Return what `act` raised: a TaskGroup would wrap it."""
    try:
        await act
    except Exception as error:  # noqa: BLE001 - raised again by the caller
        return error
    return None
