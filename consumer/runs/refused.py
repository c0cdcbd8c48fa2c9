"""What to do about rows that PostgreSQL refuses: find each of them, and what to write in the place of an outcome."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar, assert_never

from sluice.core.errors import RowRefused
from sluice.core.outcome import Failure, storable
from sluice.core.task import MAX_ERROR_BYTES
from sluice.db.claims import Completion, Failing, Return

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sluice.consumer.runs.complete import Write

T = TypeVar("T")
R = TypeVar("R")

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


async def bisected(
    batch: Sequence[T],
    send: Callable[[Sequence[T]], Awaitable[R]],
    refused_alone: Callable[[T, RowRefused], None],
) -> list[R]:
    """What `send` answers for the batch, or for halves of it until each refused row is alone (U1)."""
    try:
        return [await send(batch)]
    except RowRefused as refused:
        if len(batch) == 1:
            refused_alone(batch[0], refused)
            return []
    middle = len(batch) // 2
    first = await bisected(batch[:middle], send, refused_alone)
    return first + await bisected(batch[middle:], send, refused_alone)
