"""Handlers: the mark that `@handler` leaves, and the table of kinds that the loader makes of marks. No global table."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from consumer.payload.schema import payload_schema
from core.errors import ConfigurationError
from core.task import KIND_PATTERN, MAX_ATTEMPTS, MAX_TIMEOUT_SECONDS, MIN_TIMEOUT_SECONDS, JsonText, Kind

F = TypeVar("F", bound=Callable[..., Any])
MARK = "__sluice_handler__"


class Mode(Enum):
    """Where a handler runs."""

    LOOP = "async def: on the event loop"
    THREAD = "def: in a thread"
    PROCESS = "cpu_bound=True: in a child process of its own"


LOOP, THREAD = Mode.LOOP, Mode.THREAD
"""For what is asked of every task: before Python 3.12 an enum looks a member up by Python code."""


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
        setattr(function, MARK, (*getattr(function, MARK, ()), mark))
        return function

    return leave_mark


def _is_a(number: Any, value: object) -> bool:  # noqa: ANN401 - a type, or several
    """Whether `value` is one, whatever type checkers were told; True and False are numbers to Python alone."""
    return isinstance(value, number) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Handler:
    """A function ready to be called. `decode` turns the payload's JSON into its second argument."""

    kind: Kind
    function: Callable[..., Any]
    mode: Mode
    decode: Callable[[JsonText], Any]
    schema: JsonText | None
    max_attempts: int | None
    timeout: float | None


Registry = Mapping[Kind, Handler]


def handlers_of(function: Callable[..., Any]) -> Iterable[Handler]:
    """One Handler for each mark on `function`. Raises ConfigurationError when it cannot be one."""
    for mark in getattr(function, MARK):
        decode, schema = _payload(function)
        yield Handler(
            mark.kind, function, _mode(function, mark), decode, schema, mark.max_attempts, mark.timeout
        )


def _mode(function: Callable[..., Any], mark: Mark) -> Mode:
    if inspect.iscoroutinefunction(function):
        if mark.cpu_bound:
            raise ConfigurationError(
                f"handler {_name(function)}: cpu_bound is for `def`, not for `async def`"
            )
        return Mode.LOOP
    return Mode.PROCESS if mark.cpu_bound else Mode.THREAD


def _payload(function: Callable[..., Any]) -> tuple[Callable[[JsonText], Any], JsonText | None]:
    """How to decode the payload, and its JSON schema (None: any object), from the second parameter's annotation."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
        if len(parameters) < 2 or any(
            p.default is p.empty and p.kind is not p.VAR_KEYWORD for p in parameters[2:]
        ):
            raise ConfigurationError(f"handler {_name(function)} must take (ctx, payload)")
        annotation = _annotation(function, parameters[1])
        if annotation in (dict, Any) or typing.get_origin(annotation) in (dict, Mapping):
            return orjson.loads, None
        adapter = TypeAdapter(annotation)
        schema = payload_schema(adapter.core_schema)
    except (NameError, PydanticSchemaGenerationError, PydanticUserError) as error:
        message = str(error).partition("\n")[0]
        raise ConfigurationError(
            f"handler {_name(function)}: its payload's type cannot be used: {message}"
        ) from error
    if schema is None:
        raise ConfigurationError(
            f"handler {_name(function)}: its payload's type cannot be used: there is no JSON that fits it"
        )
    return adapter.validate_json, JsonText(orjson.dumps(schema).decode())


def _annotation(function: Callable[..., Any], payload: inspect.Parameter) -> Any:  # noqa: ANN401 - a type
    """The payload's type. The other annotations may name what is imported for type checkers alone."""
    try:
        return typing.get_type_hints(function).get(payload.name, dict)
    except NameError:
        if not isinstance(payload.annotation, str):
            raise
        return eval(payload.annotation, inspect.unwrap(function).__globals__)  # noqa: S307 - the handler's own source


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"
