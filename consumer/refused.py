"""What to write in the place of an outcome that PostgreSQL refuses. Writes nothing itself."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from core.outcome import Failure, storable
from core.task import MAX_ERROR_BYTES
from db.claims import Completion, Failing, Return

if TYPE_CHECKING:
    from consumer.complete import Write
    from core.errors import RowRefused

_AGAIN = timedelta(minutes=1)
_PLAIN = Failure(
    "OutcomeRefused", "PostgreSQL refuses to store how this try ended; the consumer's log says why"
)
"""In letters that every database can hold."""


def instead_of(write: Write, refused: RowRefused) -> Write | None:
    """That the try failed for it; for a failure that it failed, in plain words; for those, that it ended.

    None when it refuses even that: reconcile finds the row, and tries again twice a lease (L4).
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
