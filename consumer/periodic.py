"""The only loop: run a step, wait as long as it says or until the bell, go on until the stop. Decides nothing else."""

from __future__ import annotations

import asyncio
import traceback
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from sluice.core.errors import StoreUnavailable
from sluice.core.events import StepFailed, StoreBack, StoreLost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from sluice.core.events import Report

Step: TypeAlias = "Callable[[], Awaitable[timedelta]]"
"""One round. It returns how long to wait for the next."""

_FIRST_PAUSE = timedelta(milliseconds=200)
_LONGEST_PAUSE = timedelta(seconds=5)
_JITTER = 0.05
EARLY = 0.001
"""uvloop's timers may fire almost a millisecond early, and a turn that is asked for too early is a turn lost."""


class Bell:
    """A wake-up that is not lost: it is cleared before the look, never after."""

    __slots__ = ("_rung", "ring")

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self.ring: Callable[[], None] = self._rung.set
        """Wake whoever waits, or whoever waits next. Several times for every task, hence the event's own method."""

    def clear(self) -> None:
        """From here on a ring counts for the next wait."""
        self._rung.clear()

    async def wait(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - a pause, not a limit
        """Until the bell rings, or for `timeout` seconds. Safe to cancel."""
        try:
            async with asyncio.timeout(timeout):
                await self._rung.wait()
        except TimeoutError:
            return


class Stopping:
    """Asked for once, seen by every loop: rings the bells that were handed to it."""

    def __init__(self) -> None:
        self.requested = False
        self._bells: list[Bell] = []

    def bell(self) -> Bell:
        """A bell that also rings when the stop is asked for."""
        bell = Bell()
        self._bells.append(bell)
        return bell

    def request(self) -> None:
        """Ask every loop to end after its round."""
        self.requested = True
        for bell in self._bells:
            bell.ring()


async def every(
    name: str, step: Step, *, stopping: Stopping, report: Report, random: Random, bell: Bell | None = None
) -> None:
    """Repeat `step` until `stopping`, each pause a little longer by chance, never shorter; `bell` ends a pause early.

    A step that raises is reported and tried again after a growing pause: no error ends the loop. Not to be canceled
    in the middle of a step.
    """
    bell = bell or stopping.bell()
    pause = _FIRST_PAUSE
    lost = ""
    while not stopping.requested:
        bell.clear()
        try:
            wait = await step()
        except StoreUnavailable as away:
            if not lost:
                report(StoreLost(away.store, doing=name, reason=away.reason))
            lost = away.store
        except Exception as error:  # noqa: BLE001 - reported, and the loop goes on: a reaper that ended would be missed
            report(StepFailed(name, reason=repr(error), traceback=traceback.format_exc()))
        else:
            if lost:
                report(StoreBack(lost, doing=name))
            lost, pause = "", _FIRST_PAUSE
            if not stopping.requested:
                await bell.wait(_jittered(wait, random))
            continue
        if not stopping.requested:
            await bell.wait(_jittered(pause, random))
        pause = min(pause * 2, _LONGEST_PAUSE)


def _jittered(pause: timedelta, random: Random) -> float:
    """Seconds to wait, so that processes drift apart."""
    return pause.total_seconds() * random.uniform(1, 1 + _JITTER) + EARLY if pause else 0.0
