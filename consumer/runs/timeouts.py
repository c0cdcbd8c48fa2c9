"""Ends the time of runs: a timer for each whose time is nearly over, one look a second at all the others.

Most runs end long before their timeout, and a timer that is made and thrown away for each is felt by short tasks.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sluice.consumer.runs.running import Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from sluice.consumer.runs.running import Run

_LOOK_SECONDS = 1.0
_NEAR_SECONDS = 2 * _LOOK_SECONDS
"""A look that comes late by the difference still finds each run in time for its timer."""


class Timeouts:
    """`begin` and `end` for each run, on its loop. A run is stopped at the moment its time is over, not at a look."""

    def __init__(self) -> None:
        self._far: dict[Run, float] = {}
        self._near: dict[Run, asyncio.TimerHandle] = {}
        self._look: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, run: Run) -> None:
        """Its time runs from now on."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()  # kept, as in Running
        loop, left = self._loop, run.claim.timeout
        if left <= _NEAR_SECONDS:
            self._near[run] = loop.call_later(left, run.stop, Stop.TIMED_OUT)
            return
        self._far[run] = loop.time() + left
        if self._look is None:
            self._look = loop.call_later(_LOOK_SECONDS, self._look_at_all, loop)

    def end(self, run: Run) -> None:
        """It needs no stop any more."""
        if self._far.pop(run, None) is None:
            self._near.pop(run).cancel()

    def grant(self, run: Run, seconds: float, then: Callable[[Run], object]) -> None:
        """Call `then` once these seconds are over as well, unless the run needs no stop any more before that."""
        if self._far.pop(run, None) is None:
            self._near.pop(run).cancel()
        self._near[run] = asyncio.get_running_loop().call_later(seconds, then, run)

    def over(self, run: Run) -> bool:
        """Whether its time is over: a loop that was held up may not have stopped it yet."""
        timer = self._near.get(run)
        ends_at = self._far[run] if timer is None else timer.when()
        return ends_at <= asyncio.get_running_loop().time()

    def _look_at_all(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set a timer for each run whose time may be over before the next look but one."""
        soon = loop.time() + _NEAR_SECONDS
        for run in [run for run, ends_at in self._far.items() if ends_at <= soon]:
            self._near[run] = loop.call_at(self._far.pop(run), run.stop, Stop.TIMED_OUT)
        self._look = loop.call_later(_LOOK_SECONDS, self._look_at_all, loop) if self._far else None
