"""Tasks that one more crash would poison: one at a time runs here, and only once its name is written (U2 reap).

If this process dies, reap charges the task that is named, and none of those that it took along.
"""

from __future__ import annotations

import traceback
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from sluice.core.errors import StoreUnavailable
from sluice.core.events import StepFailed
from sluice.core.outcome import Reason

if TYPE_CHECKING:
    from random import Random

    from sluice.consumer.runs.running import Run
    from sluice.core.clock import Clock
    from sluice.core.events import Report
    from sluice.core.task import ConsumerId, RunKey
    from sluice.core.waiting import Bell

WAITS = timedelta(seconds=1)
"""How long a suspect that must not run beside another one is put off, in the mean and at most."""
_WAITS_AT_FIRST = 0.1
LINGERS = timedelta(minutes=1)
"""How long a thread that outlived its run keeps the next suspect waiting: it may never end."""


class NamesSuspects(Protocol):
    """Where it is written which suspect a consumer runs."""

    async def name_suspect(self, consumer: ConsumerId, run: RunKey) -> bool: ...


class Quarantine:
    """Holds at most one suspect, from its claim until its handler is out of the way. Then the next is scanned for."""

    def __init__(
        self,
        *,
        consumers: NamesSuspects,
        scan_bell: Bell,
        clock: Clock,
        random: Random,
        report: Report,
    ) -> None:
        self._consumers = consumers
        self._scan_bell = scan_bell
        self._clock = clock
        self._random = random
        self._report = report
        self._run: Run | None = None
        self._left_at: float | None = None

    @property
    def may_begin(self) -> bool:
        """Whether one may start: none runs, or its thread has lingered for too long."""
        lingers = self._left_at is not None and self._clock() - self._left_at > LINGERS.total_seconds()
        return self._run is None or lingers

    def begin(self, run: Run) -> None:
        """Take `run` as the one suspect that runs here."""
        self._run, self._left_at = run, None

    def left(self, run: Run) -> None:
        """Take note that its outcome is handed on. A thread may go on, and kill this process still."""
        if run is self._run:
            self._left_at = self._clock()

    def ended(self, run: Run) -> None:
        """Let the next suspect start, if `run` was the one: it is out of the way."""
        if run is self._run:
            self._run = None
            self._scan_bell.ring()

    def wait(self) -> timedelta | None:
        """Return how long another one is to wait; None when it may start.

        About as long again as the one has run, and by chance. Claims bring none while one runs; two that were in flight
        together may have brought one each.
        """
        if self._run is None or self.may_begin:
            return None
        ran = max(self._clock() - self._run.started_at, _WAITS_AT_FIRST)
        return timedelta(seconds=self._random.uniform(0, 2) * min(ran, WAITS.total_seconds()))

    async def name(self, suspect: Run) -> Reason | None:
        """Write down what runs next, for who finds this process dead; why it may not run, None when it may."""
        try:
            if not await self._consumers.name_suspect(suspect.consumer, suspect.key):
                return Reason.LEASE
        except BaseException as error:  # noqa: BLE001 - whatever it is, an unnamed suspect must not run
            if not isinstance(error, StoreUnavailable):
                self._report(StepFailed("name", reason=repr(error), traceback=traceback.format_exc()))
            return Reason.UNNAMED
        return None
