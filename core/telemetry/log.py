"""Log lines: structlog set up once per process, standard-library records through the same formatter."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


def configure(level: str, log_format: str | None) -> None:
    """Send every log record to stderr: lines for people on a terminal, one JSON object per line otherwise."""
    as_json = log_format == "json" or (log_format is None and not sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: list[Processor] = (
        [structlog.processors.JSONRenderer(serializer=_dumps)]
        if as_json
        else [
            _printable,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                exception_formatter=structlog.dev.plain_traceback,  # the other shows locals: passwords are among them
            ),
        ]
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            *render,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def logger(name: str, **facts: Any) -> Any:  # noqa: ANN401 - structlog's bound logger is typed by its wrapper
    """A structlog logger that adds `facts` to each line."""
    return structlog.get_logger(name).bind(**facts) if facts else structlog.get_logger(name)


def _dumps(value: Any, **_: Any) -> str:  # noqa: ANN401 - whatever a log line holds
    import orjson  # noqa: PLC0415 - a terminal session never needs it

    try:
        return orjson.dumps(value, default=str).decode()
    except (
        TypeError
    ):  # what orjson refuses is still told: lone surrogates, integers past 64 bits, keys of any type
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
