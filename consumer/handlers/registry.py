"""Handlers as they are called, made of the marks that `@handler` left on functions. Keeps no global table."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson
from pydantic import TypeAdapter

from sluice.consumer.handlers.mark import MARK, Mark
from sluice.consumer.handlers.payload.schema import payload_schema
from sluice.consumer.handlers.signature import check_travels, on_loop, payload_of, place, written
from sluice.core.errors import ConfigurationError
from sluice.core.task import JsonText, Kind


class Mode(Enum):
    """Where a handler runs."""

    LOOP = "async def: on the event loop"
    THREAD = "def: in a thread"
    PROCESS = "cpu_bound=True: in a child process of its own"


LOOP, THREAD = Mode.LOOP, Mode.THREAD
"""For what is asked of every task: before Python 3.12 an enum looks a member up by Python code."""


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
    kinds = set()
    for mark in getattr(function, MARK):
        if mark.kind in kinds:
            raise ConfigurationError(f"handler {place(function)} is marked twice for the kind {mark.kind!r}")
        kinds.add(mark.kind)
        mode = _mode(function, mark)
        decode, schema = _payload(function, mode)
        yield Handler(mark.kind, function, mode, decode, schema, mark.max_attempts, mark.timeout)


def _mode(function: Callable[..., Any], mark: Mark) -> Mode:
    if on_loop(function, cpu_bound=mark.cpu_bound):
        return Mode.LOOP
    return Mode.PROCESS if mark.cpu_bound else Mode.THREAD


def _payload(function: Callable[..., Any], mode: Mode) -> tuple[Callable[[JsonText], Any], JsonText | None]:
    """How to decode the payload, and its JSON schema (None: any object), from the second parameter's annotation."""
    owner, payload = payload_of(function)
    try:
        annotation = _annotation(owner, payload)
        if annotation in (dict, Any) or typing.get_origin(annotation) in (dict, Mapping):
            return orjson.loads, None
        adapter = TypeAdapter(annotation)
        schema = payload_schema(adapter.core_schema)
    except Exception as error:  # the annotation is the user's: evaluating it may raise anything
        message = str(error).partition("\n")[0] or type(error).__name__
        raise ConfigurationError(
            f"handler {place(function)}: its payload's type cannot be used: {message}"
        ) from error
    if mode is Mode.PROCESS:
        check_travels(function, adapter.core_schema)
    if schema is None:
        raise ConfigurationError(
            f"handler {place(function)}: its payload's type cannot be used: there is no JSON that fits it"
        )
    return adapter.validate_json, JsonText(orjson.dumps(schema).decode())


def _annotation(function: Callable[..., Any], payload: inspect.Parameter | None) -> Any:  # noqa: ANN401 - a type
    """The payload's type. The other annotations may name what is imported for type checkers alone."""
    if payload is None:
        return dict
    function = written(function)
    try:
        return typing.get_type_hints(function, include_extras=True).get(payload.name, dict)
    except NameError:
        if not isinstance(payload.annotation, str):
            raise
        return eval(payload.annotation, function.__globals__)  # noqa: S307 - the handler's own source
