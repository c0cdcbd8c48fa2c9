"""From HANDLERS to a registry: imports the modules and collects the marked functions they hold."""

from __future__ import annotations

import importlib
import sys
from inspect import getattr_static
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consumer.registry import MARK, Handler, Registry, handlers_of
from core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from core.task import Kind

BUILT_IN = "consumer.handlers.builtin"
_OURS = frozenset({"api", "cli", "consumer", "core", "db"})


def load(modules: Sequence[str]) -> Registry:
    """The built-in handlers and those of `modules`, which are found on the import path, then in the current directory.

    Raises ConfigurationError when a module cannot be imported, holds no handler, or takes a kind that is taken.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    registry: dict[Kind, Handler] = {}
    for name in (BUILT_IN, *modules):
        found = [handler for function in _marked(_import(name)) for handler in handlers_of(function)]
        if not found:
            raise ConfigurationError(f"HANDLERS: module {name} holds no function marked with @handler")
        for handler in found:
            other = registry.get(handler.kind)
            if other is not None and other.function is not handler.function:
                raise ConfigurationError(
                    f"HANDLERS: the kind {handler.kind!r} is taken twice: by {other.function.__module__} "
                    f"and by {handler.function.__module__}"
                )
            registry[handler.kind] = handler
    return registry


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name is None or not (name == missing.name or name.startswith(f"{missing.name}.")):
            raise ConfigurationError(
                f"HANDLERS: {name} needs the module {missing.name}, which is missing"
            ) from missing
        top = name.partition(".")[0]
        taken = f"; the name {top} is taken by a part of Sluice: rename your package" if top in _OURS else ""
        raise ConfigurationError(
            f"HANDLERS: there is no module {name} on the import path or in {Path.cwd()}{taken}"
        ) from missing
    except (Exception, SystemExit) as error:
        raise ConfigurationError(
            f"HANDLERS: importing {name} raised {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error


def _marked(module: ModuleType) -> list[Callable[..., Any]]:
    """Looked at without asking the values: a module may hold proxies and mocks that answer to every name."""
    return [value for value in vars(module).values() if isinstance(getattr_static(value, MARK, None), tuple)]
