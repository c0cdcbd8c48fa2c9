"""Whether what was marked can be called as a handler: found out at the start, not at each task. Calls nothing."""

from __future__ import annotations

import functools
import inspect
import pickle
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sluice.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable


def place(marked: Any) -> str:  # noqa: ANN401 - whatever was marked
    """Return its name, and the file and line where it is written."""
    function = written(inspect.unwrap(marked))
    at = ""
    with suppress(OSError, TypeError):  # such as of what is built in
        at = f" ({inspect.getfile(function)}:{inspect.findsource(function)[1] + 1})"
    return f"{function.__module__}.{function.__qualname__}{at}"


def written(function: Any) -> Any:  # noqa: ANN401 - whatever was marked
    """Return the function, or the class, that somebody has written: behind a partial, a method or an object."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    if isinstance(function, type) or inspect.isroutine(function):
        return getattr(function, "__func__", function)
    called = type(function).__call__
    return called if inspect.isfunction(called) else type(function)


def on_loop(function: Callable[..., Any], *, cpu_bound: bool) -> bool:
    """Whether it is an `async def`. Raises ConfigurationError for what has no result, or no process to run in."""
    if isinstance(function, type) or not callable(function):
        raise ConfigurationError(f"handler {place(function)} is no function")
    called = function if _is_function(function) else type(function).__call__
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        raise ConfigurationError(f"handler {place(function)} yields: a handler returns its result")
    if cpu_bound and inspect.iscoroutinefunction(inspect.unwrap(called)):
        raise ConfigurationError(
            f"handler {place(function)}: cpu_bound is for `def`, not for `async def`, behind a decorator or not"
        )
    if inspect.iscoroutinefunction(called):
        return True
    if cpu_bound and not _has_a_name(function):
        raise ConfigurationError(
            f"handler {place(function)}: cpu_bound is for a function that its module holds under its own name: "
            "its child process looks it up"
        )
    return False


def payload_of(function: Callable[..., Any]) -> tuple[Callable[..., Any], inspect.Parameter | None]:
    """Return the parameter that takes the payload and the function that has it; None when nothing names one.

    A decorator that hands on whatever it is given says nothing of its own: then what it wraps has the word. Raises
    ConfigurationError for what cannot be called with (ctx, payload).
    """
    taken = _second(function)
    wrapped = getattr(function, "__wrapped__", None)
    if wrapped is None or (taken is not None and taken.annotation is not taken.empty):
        return function, taken
    try:
        return payload_of(wrapped)
    except ConfigurationError:
        if taken is None:
            raise
        return function, taken  # such as one that hands on a third argument of its own


def check_travels(function: Callable[..., Any], schema: Any) -> None:  # noqa: ANN401 - a core schema of pydantic's
    """Refuse the payload of a cpu_bound handler whose classes a child process cannot look up."""
    if isinstance(schema, dict):
        kept = schema.get("cls")
        if isinstance(kept, type):
            try:
                pickle.dumps(kept)
            except Exception as error:
                raise ConfigurationError(
                    f"handler {place(function)}: its payload cannot travel to a child process: {error}"
                ) from error
        schema = list(schema.values())
    if isinstance(schema, list | tuple):
        for part in schema:
            check_travels(function, part)


def _second(function: Callable[..., Any]) -> inspect.Parameter | None:
    """Return its second parameter by position; None for one that takes any number."""
    try:
        signature = inspect.signature(function, follow_wrapped=False)
        names = list(signature.bind(None, None).arguments)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"handler {place(function)} must take (ctx, payload): {error}") from error
    parameter = signature.parameters[names[-1]]
    return None if parameter.kind is parameter.VAR_POSITIONAL else parameter


def _is_function(function: Callable[..., Any]) -> bool:
    return inspect.isroutine(function) or isinstance(function, functools.partial)


def _has_a_name(function: Callable[..., Any]) -> bool:
    """Whether a child process finds exactly this by its module and name, as runs/cpu/process.py looks it up."""
    found: Any = sys.modules.get(getattr(function, "__module__", "") or "")
    if found is None or found.__name__ == "__main__":
        return False
    for name in getattr(function, "__qualname__", "<none>").split("."):
        found = getattr(found, name, None)
    return found is function
