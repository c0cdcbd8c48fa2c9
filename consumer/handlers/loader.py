"""From HANDLERS to a registry: imports the modules and collects the marked functions they hold."""

from __future__ import annotations

import importlib
import signal
import sys
import sysconfig
import traceback
from inspect import getattr_static
from itertools import chain
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any

from sluice.consumer.handlers.mark import MARK, Mark, marking
from sluice.consumer.handlers.registry import Handler, Registry, handlers_of
from sluice.consumer.handlers.signature import place, written
from sluice.core.errors import ConfigurationError
from sluice.core.process.command_line import here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import ModuleType

    from sluice.core.task import Kind

BUILT_IN = "sluice.consumer.handlers.builtin"
_OURS = "sluice"
_LIBRARIES = ("<", *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")))


def load(modules: Sequence[str]) -> Registry:
    """The built-in handlers and those of `modules`, which are found on the import path, then in the current directory.

    Raises ConfigurationError when a module cannot be imported, holds no handler, has marked what it does not hold, or
    takes a kind that is taken.
    """
    directory = str(here())
    if directory not in sys.path:
        sys.path.append(directory)
    with marking() as made:
        found = {name: _marked(_import(name)) for name in (BUILT_IN, *modules)}
    # For programs in a pipe it is usual to take the signal; a lost connection would end a consumer.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    _refuse_lost(made, found)
    registry: dict[Kind, Handler] = {}
    for name, functions in found.items():
        if not functions:
            raise ConfigurationError(f"HANDLERS: module {name} holds no function marked with @handler")
        for handler in chain.from_iterable(map(handlers_of, functions)):
            other = registry.setdefault(handler.kind, handler)
            if other.function is not handler.function:
                raise ConfigurationError(
                    f"HANDLERS: the kind {handler.kind!r} is taken twice: by {place(other.function)} "
                    f"and by {place(handler.function)}"
                )
    return registry


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name is None or not (name == missing.name or name.startswith(f"{missing.name}.")):
            raise ConfigurationError(
                f"HANDLERS: {name} needs the module {missing.name}, which is missing{_at(missing)}"
            ) from missing
        top = name.partition(".")[0]
        taken = f"; {_OURS} is the name of Sluice itself: rename your package" if top == _OURS else ""
        raise ConfigurationError(
            f"HANDLERS: there is no module {name} on the import path or in {here()}{taken}"
        ) from missing
    except (Exception, SystemExit) as error:
        raise ConfigurationError(
            f"HANDLERS: importing {name} raised {type(error).__name__}: {_said(error)}{_at(error)}"
        ) from error


def _at(error: BaseException) -> str:
    """The line of the user's that raised it, rather than the library's that it called, or that cannot be parsed."""
    if isinstance(error, SyntaxError) and _is_in_file(error):
        return f" ({error.filename}:{error.lineno})"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_LIBRARIES) and Path(frame.filename).parent != Path(__file__).parent
    ]
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""


def _said(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) and _is_in_file(error) else str(error)
    return " ".join(text.split())


def _is_in_file(error: SyntaxError) -> bool:
    """Whether it names the line of a file, and none of a text that was compiled."""
    return error.lineno is not None and not (error.filename or "<").startswith("<")


def _marked(module: ModuleType) -> list[Callable[..., Any]]:
    """Looked at without asking the values: a module may hold proxies and mocks that answer to every name."""
    return [value for value in vars(module).values() if isinstance(_marks(value), tuple)]


def _marks(value: object) -> object:
    return getattr_static(value.__func__ if isinstance(value, MethodType) else value, MARK, None)


def _refuse_lost(
    made: Iterable[tuple[Mark, Callable[..., Any]]], found: Mapping[str, Sequence[Callable[..., Any]]]
) -> None:
    """Refuse what the modules marked and hold under no name: in a class, in a function, behind a decorator."""
    held = {id(mark) for functions in found.values() for function in functions for mark in _of(function)}
    for mark, function in made:
        if id(mark) not in held and written(function).__module__ in found:
            raise ConfigurationError(
                f"HANDLERS: handler {place(function)} would never be found: make it a function of the module under a "
                "name of its own, and put @handler above its other decorators"
            )


def _of(function: Callable[..., Any]) -> tuple[Mark, ...]:
    return tuple(getattr(function, MARK))
