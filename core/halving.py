"""Finding the rows that PostgreSQL refuses: a refused batch is halved until each is alone. Sends nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sluice.core.errors import RowRefused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

T = TypeVar("T")
R = TypeVar("R")


def halves(batch: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """Return the first and the second half of a batch of two or more."""
    middle = len(batch) // 2
    return batch[:middle], batch[middle:]


async def bisected(
    batch: Sequence[T],
    send: Callable[[Sequence[T]], Awaitable[R]],
    refused_alone: Callable[[T, RowRefused], None],
) -> list[R]:
    """Return what `send` answers for the batch, or for its parts; each row that is refused is told, alone.

    `send` raises RowRefused, and has done nothing then. Whatever else it raises ends the search.
    """
    try:
        return [await send(batch)]
    except RowRefused as refused:
        if len(batch) == 1:
            refused_alone(batch[0], refused)
            return []
    first, second = halves(batch)
    return [*await bisected(first, send, refused_alone), *await bisected(second, send, refused_alone)]
