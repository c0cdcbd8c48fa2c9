"""Which task the code that logs is working on. A handler's own `logging` lines carry it, whoever wrote them."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from structlog.typing import EventDict


class Attempt(Protocol):
    """What is told of it."""

    @property
    def id(self) -> object: ...
    @property
    def kind(self) -> str: ...
    @property
    def attempt(self) -> int: ...


ATTEMPT: ContextVar[Attempt | None] = ContextVar("sluice_attempt", default=None)
"""Set where a handler begins, in the context that it runs in."""


def with_attempt(_logger: Any, _method: str, event: EventDict) -> EventDict:  # noqa: ANN401 - structlog's
    """Add the task's id, kind and attempt to a line that does not say them itself: a step of structlog's."""
    attempt = ATTEMPT.get()
    if attempt is not None:
        event.setdefault("task", str(attempt.id))
        event.setdefault("kind", attempt.kind)
        event.setdefault("attempt", attempt.attempt)
    return event
