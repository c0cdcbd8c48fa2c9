"""How a log line is made of what it holds: for people on a terminal, or as one JSON object. Writes nothing."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from structlog.typing import EventDict, Processor

FACTS: tuple[Processor, ...] = (
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
"""What each line has."""


def rendering(log_format: str | None) -> Sequence[Processor]:
    """The last steps: for `console` or `json`; for None as stderr, a terminal or not, wants it."""
    if log_format == "json" or (log_format is None and not sys.stderr.isatty()):
        return (structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_dumps))
    return (
        structlog.processors.format_exc_info,
        _printable,
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,  # the other shows locals: passwords are among them
        ),
    )


def without_fail(steps: Sequence[Processor]) -> Processor:
    """The same as one step that loses no line and raises nothing, whatever a value's own methods do."""

    def line(logger: Any, method: str, event: EventDict) -> str:  # noqa: ANN401 - structlog's signature
        kept = {name: value for name, value in event.items() if isinstance(value, str | int | float)}
        try:
            made: Any = event
            for step in steps:
                made = step(logger, method, made)
            return str(made)
        except Exception as error:  # noqa: BLE001 - a handler's values are not ours to trust
            return json.dumps({**kept, "unprintable": type(error).__name__})

    return line


def _dumps(value: Any, **_: Any) -> str:  # noqa: ANN401 - whatever a log line holds
    import orjson  # noqa: PLC0415 - a terminal session never needs it

    try:
        return orjson.dumps(value, default=str).decode()
    except TypeError:
        # What orjson refuses is still told: lone surrogates, integers past 64 bits, keys of any type.
        return json.dumps(value, default=str, skipkeys=True)


def _printable(_logger: Any, _method: str, event: EventDict) -> EventDict:  # noqa: ANN401 - structlog's signature
    """Escape control characters, so that a task's data cannot drive the reader's terminal (CWE-117).

    Tracebacks and stacks keep their lines: the renderer prints those below the others.
    """
    if "traceback" in event:
        event["exception"] = event.pop("traceback")
    return {
        key: "\n".join(map(_escape, value.split("\n")))
        if key in {"exception", "stack"}
        else _escape(value)
        if isinstance(value, str)
        else value
        for key, value in event.items()
    }


def _escape(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
