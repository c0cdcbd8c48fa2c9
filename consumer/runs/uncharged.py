"""How often in a row the tries of a task went back uncharged, so that what always ends like that comes to an end.

A task of which nobody knows what became of its COMMIT is not charged: its server may have died. One whose own trigger
kills the connection at each COMMIT would run for ever. This process counts for itself and remembers so many tasks:
no column is worth it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from sluice.core.outcome import Failure, storable
from sluice.core.retry import DEFAULT_POLICY
from sluice.core.task import MAX_ERROR_BYTES

if TYPE_CHECKING:
    from datetime import timedelta
    from random import Random

    from sluice.core.task import TaskId

FREE = 5
"""So many tries in a row may go back uncharged. An outage of PostgreSQL costs a task one."""
_REMEMBERED = 10_000


class Uncharged:
    """The tasks whose last tries here went back uncharged. A snooze, a drain and a lost lease are not counted."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._counts: OrderedDict[TaskId, int] = OrderedDict()

    def again(self, task: TaskId) -> timedelta | None:
        """Count one more; how long the next try is put off, None when this one is to be charged."""
        count = self._counts[task] = self._counts.pop(task, 0) + 1
        if len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)
        return DEFAULT_POLICY.backoff(count - 1, self._random) * (count > 1) if count <= FREE else None

    def ended(self, task: TaskId) -> None:
        """A try of it came to an end of its own."""
        self._counts.pop(task, None)

    def failure(self, error: BaseException) -> Failure:
        """What the row keeps of a try that is charged."""
        found = Failure.of(error)
        told = f"more than {FREE} tries in a row ended without an outcome, the last with {found.type}: {found.message}"
        return Failure("NoOutcome", storable(told, MAX_ERROR_BYTES))
