"""The log of attempts that ended: a line for each while they are few, one a second for all while they are many."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sluice.core.attempts import (
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskInterrupted,
    TaskRetrying,
    TasksEnded,
    TaskSnoozed,
)
from sluice.core.outcome import Completion, Failed, Failing, Snoozed

if TYPE_CHECKING:
    from sluice.consumer.runs.running import Run
    from sluice.core.attempts import AttemptEnded
    from sluice.core.clock import Clock
    from sluice.core.events import Report
    from sluice.core.outcome import Outcome, Return, Write

PERIOD = timedelta(seconds=1)
LINES = 100
"""So many attempts a period have a line each; of failures so many more. Beyond that they are counted."""


class Journal:
    """Work tells it of each attempt; `step` ends a period, and tells of all together if some had no line."""

    def __init__(self, report: Report, clock: Clock) -> None:
        self._report = report
        self._clock = clock
        self._completed = 0
        self._others: Counter[str] = Counter()
        self._told = 0
        self._told_failures = 0
        self._busy = False

    def ended(self, run: Run, outcome: Outcome, write: Write) -> None:
        """Take note of an attempt that ended like this, and of what is written of it."""
        # Nearly all go this way: no more than an addition while they are many.
        if isinstance(write, Completion):
            self._completed += 1
            if self._busy or self._told >= LINES:
                return
            self._told += 1
            self._report(TaskCompleted(**self._facts(run)))
            return
        event = self._event(run, outcome, write)
        self._others[event.name.partition(".")[2]] += 1
        if isinstance(write, Failing):
            self._told_failures += 1
            if self._told_failures <= LINES:
                self._report(event)
        elif not self._busy and self._told < LINES:
            self._told += 1
            self._report(event)

    async def step(self) -> timedelta:
        """Do so: a step of `every`."""
        self.tell()
        return PERIOD

    def tell(self) -> None:
        """End a period. What follows one with too many attempts has lines for failures alone."""
        ended = self._completed + self._others.total()
        untold = ended - self._told - min(self._told_failures, LINES)
        if untold:
            self._report(TasksEnded(ended, completed=self._completed or None, **self._others))
        self._busy = ended > LINES
        self._completed = self._told = self._told_failures = 0
        self._others.clear()

    def _event(self, run: Run, outcome: Outcome, write: Failing | Return) -> AttemptEnded:
        facts = self._facts(run)
        if isinstance(write, Failing):
            facts["error"] = write.failure.words
            facts["traceback"] = outcome.traceback if isinstance(outcome, Failed) else None
            return (
                TaskFailed(**facts)
                if write.delay is None
                else TaskRetrying(**facts, next_at=_instant(write.delay))
            )
        if isinstance(outcome, Snoozed):
            return TaskSnoozed(**facts, next_at=_instant(write.delay))
        return TaskCanceled(**facts) if write.canceled else TaskInterrupted(**facts)

    def _facts(self, run: Run) -> dict[str, Any]:
        claim = run.claim
        return {
            "task": str(claim.id),
            "kind": claim.kind,
            "attempt": claim.attempt,
            "waited_seconds": round(max(claim.waited, 0.0), 3),
            "ran_seconds": round(self._clock() - run.started_at, 3),
        }


def _instant(delay: timedelta) -> str:
    """Return when that will be, by this machine's clock."""
    return (datetime.now(UTC) + delay).isoformat(timespec="milliseconds").replace("+00:00", "Z")
