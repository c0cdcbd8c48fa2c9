"""`@handler`: the mark that it leaves on a function for the loader to find. Keeps no table and needs no library."""

from __future__ import annotations

import re
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sluice.core.task import KIND_PATTERN, MAX_ATTEMPTS, MAX_TIMEOUT_SECONDS, MIN_TIMEOUT_SECONDS, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

F = TypeVar("F", bound="Callable[..., Any]")
MARK = "__sluice_handler__"
_made: ContextVar[list[tuple[Mark, Callable[..., Any]]] | None] = ContextVar("marks", default=None)


@dataclass(frozen=True, slots=True)
class Mark:
    """What `@handler` was told."""

    kind: Kind
    max_attempts: int | None
    timeout: float | None
    cpu_bound: bool


def handler(
    kind: str, *, max_attempts: int | None = None, timeout: float | None = None, cpu_bound: bool = False
) -> Callable[[F], F]:
    """Mark a function `(ctx, payload)` as the handler of `kind`; a module named in HANDLERS is searched for marks.

    `max_attempts` (1 to 100) and `timeout` (seconds) hold where a request does not say otherwise. Raises ValueError.
    """
    if not re.fullmatch(KIND_PATTERN, kind):
        raise ValueError(f"a kind matches {KIND_PATTERN}; {kind!r} does not")
    if max_attempts is not None and not (_is_a(int, max_attempts) and 1 <= max_attempts <= MAX_ATTEMPTS):
        raise ValueError(f"max_attempts is 1 to {MAX_ATTEMPTS}, not {max_attempts!r}")
    if timeout is not None and not (
        _is_a(int | float, timeout) and MIN_TIMEOUT_SECONDS <= timeout <= MAX_TIMEOUT_SECONDS
    ):
        raise ValueError(
            f"timeout is {MIN_TIMEOUT_SECONDS} to {MAX_TIMEOUT_SECONDS:g} seconds, not {timeout!r}"
        )
    mark = Mark(Kind(kind), max_attempts, timeout, cpu_bound)

    def leave_mark(function: F) -> F:
        try:
            setattr(function, MARK, (*getattr(function, MARK, ()), mark))
        except (AttributeError, TypeError):
            raise TypeError(f"{function!r} cannot carry a mark: mark a function") from None
        made = _made.get()
        if made is not None:
            made.append((mark, function))
        return function

    return leave_mark


@contextmanager
def marking() -> Iterator[list[tuple[Mark, Callable[..., Any]]]]:
    """Gather the marks that are left within: a module may lose what it has marked."""
    made: list[tuple[Mark, Callable[..., Any]]] = []
    token = _made.set(made)
    try:
        yield made
    finally:
        _made.reset(token)


def _is_a(number: Any, value: object) -> bool:  # noqa: ANN401 - a type, or several
    """Whether `value` is one, whatever type checkers were told; True and False are numbers to Python alone."""
    return isinstance(value, number) and not isinstance(value, bool)
