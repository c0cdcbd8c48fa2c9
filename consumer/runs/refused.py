"""What is written in the place of an outcome that PostgreSQL refuses to store. Writes nothing itself."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from sluice.core.outcome import Completion, Failing, Failure, Return, storable
from sluice.core.task import MAX_ERROR_BYTES

if TYPE_CHECKING:
    from sluice.core.errors import RowRefused
    from sluice.core.outcome import Write

_AGAIN = timedelta(minutes=1)
_PLAIN = Failure(
    "OutcomeRefused", "PostgreSQL refuses to store how this try ended; the consumer's log says why"
)
"""In letters that every database can hold."""


def instead_of(write: Write, refused: RowRefused) -> Write | None:
    """Return a write that the attempt failed for it; for a failure one in plain words; for those one that it ended.

    None when it refuses even that: reconcile finds the row, and tries again twice a lease (L4 reconcile).
    """
    match write:
        case Completion():
            reason = storable(f"PostgreSQL refuses the result: {refused.reason}", MAX_ERROR_BYTES)
            return Failing(write.id, write.token, Failure("ResultRefused", reason), None)
        case Failing():
            if write.failure != _PLAIN:
                return Failing(write.id, write.token, _PLAIN, write.delay)
            return Return(write.id, write.token, _AGAIN)
        case Return():
            return None
        case _:
            assert_never(write)
