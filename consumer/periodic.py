"""The only loop: run a step, wait as long as it says or until the bell, go on until the stop. Decides nothing else."""

from __future__ import annotations

import math
import traceback
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from sluice.consumer.outage import Outage
from sluice.core.errors import Hindered, StoreUnavailable
from sluice.core.events import StepFailed
from sluice.core.waiting import EARLY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from random import Random

    from sluice.consumer.pulse import Pulse
    from sluice.core.clock import Clock
    from sluice.core.events import Report
    from sluice.core.waiting import Bell, Stopping

Step: TypeAlias = "Callable[[], Awaitable[timedelta]]"
"""One round. It returns how long to wait for the next."""

_FIRST_PAUSE = timedelta(milliseconds=200)
_LONGEST_PAUSE = timedelta(seconds=5)
_JITTER = 0.05


async def every(
    name: str,
    step: Step,
    *,
    stopping: Stopping,
    report: Report,
    random: Random,
    bell: Bell | None = None,
    pulse: Pulse | None = None,
) -> None:
    """Repeat `step` until `stopping`, each pause a little longer by chance, never shorter; `bell` ends a pause early.

    A step that raises is reported and tried again after a growing pause: no error ends the loop. Not to be canceled
    in the middle of a step.
    """
    bell = bell or stopping.bell()
    pause = _FIRST_PAUSE
    outage = Outage(name, report, pulse)
    while not stopping.requested:
        bell.clear()
        try:
            wait = await step()
        except StoreUnavailable as away:
            outage.met(away)
        except Exception as error:  # noqa: BLE001 - reported, and the loop goes on: a reaper that ended would be missed
            report(StepFailed(name, reason=repr(error), traceback=traceback.format_exc()))
        else:
            outage.over()
            pause = _FIRST_PAUSE
            if not stopping.requested:
                await bell.wait(_jittered(wait, random))
            continue
        if not stopping.requested:
            await bell.wait(_jittered(pause, random))
        pause = min(pause * 2, _LONGEST_PAUSE)


def _jittered(pause: timedelta, random: Random) -> float:
    """Return the seconds to wait, so that processes drift apart."""
    return pause.total_seconds() * random.uniform(1, 1 + _JITTER) + EARLY if pause else 0.0


class Rest:
    """The rest that follows a scan, as long as its cost asks for: an old snapshot makes it dear.

    What two scans in a row took is their cost. One alone may have waited for a processor, or for pages from a disk;
    one that PostgreSQL gave up for its time limit is witness enough. Waiting for a silent server costs it nothing.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._took = 0.0
        self._over_at = -math.inf
        self.seconds = 0.0
        """How long the rest after the last scan is."""

    @property
    def left(self) -> float:
        """Seconds until the next scan may follow; not above 0 when it may."""
        return self._over_at - self._clock()

    @contextmanager
    def after_scan(self, length: Callable[[float], float]) -> Iterator[None]:
        """Time the scan within. `length`: the seconds to rest after one that cost so many."""
        began = self._clock()
        try:
            yield
        except Hindered:
            self._took = math.inf
            self._begin(began, length)
            raise
        self._begin(began, length)

    def _begin(self, began: float, length: Callable[[float], float]) -> None:
        now = self._clock()
        took, before = now - began, self._took
        self._took, self.seconds = took, length(min(took, before))
        self._over_at = now + self.seconds
