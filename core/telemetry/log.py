"""Log lines: structlog set up once per process, standard-library records through the same formatter."""

from __future__ import annotations

import atexit
import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from core.telemetry.background import Background

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


def configure(level: str, log_format: str | None) -> None:
    """Send every log record to stderr: lines for people on a terminal, one JSON object per line otherwise."""
    if sys.stderr is None:  # started without one: its number is not to become a socket's
        sys.stderr = _nowhere()
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


def never_wait(finish_seconds: float = 0.3) -> None:
    """From now on a line is written by a thread of its own: a reader that stops reading stops nothing of ours.

    What is left is written at exit, for at most `finish_seconds`. For processes that serve others, after `configure`.
    """
    try:
        fd = sys.stderr.fileno()
    except (OSError, ValueError):
        return  # a stream in memory: it never waits
    background = Background(fd, _lost)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr:
            handler.setStream(background)
    atexit.register(background.drain, finish_seconds)


def say(line: str, *, seconds: float = 0.3) -> None:
    """One plain line for people, behind the log; on return it is written, or `seconds` have passed."""
    for stream in _backgrounds():
        stream.write(line + "\n")
        stream.drain(seconds)
        return
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def finish(seconds: float = 0.3) -> None:
    """Write what waits to be written, for those who end the process at once."""
    for stream in _backgrounds():
        stream.drain(seconds)


def _backgrounds() -> list[Background]:
    streams = [getattr(handler, "stream", None) for handler in logging.getLogger().handlers]
    return [stream for stream in streams if isinstance(stream, Background)]


def _lost(n: int) -> str:
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return json.dumps({"n": n, "event": "log.lost", "level": "warning", "timestamp": at}) + "\n"


def _nowhere() -> TextIO:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


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
