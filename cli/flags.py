"""How --help shows options that take no value: by their names alone. Decides nothing about any option."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from typer import Typer
from typer.core import TyperCommand, TyperGroup, TyperOption

F = TypeVar("F", bound=Callable[..., Any])


class Commands(Typer):
    """The commands. None of their flags has a placeholder for a value, nor has --help."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=_Group, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[F], F]:
        """Register a command, as Typer does."""
        return super().command(name, cls=_Command, **settings)


class _Group(TyperGroup):
    def get_params(self, ctx: Any) -> Any:  # noqa: ANN401 - click's types, of typer's own copy or not
        return _bare(super().get_params(ctx))


class _Command(TyperCommand):
    def get_params(self, ctx: Any) -> Any:  # noqa: ANN401
        return _bare(super().get_params(ctx))


def _bare(parameters: Any) -> Any:  # noqa: ANN401
    for each in parameters:
        if isinstance(each, TyperOption) and each.is_flag:
            each.metavar = ""
    return parameters
