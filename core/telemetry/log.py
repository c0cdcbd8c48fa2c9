"""Log lines: structlog set up once per process, standard-library records through the same formatter."""

from __future__ import annotations

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
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_dumps)]
        if as_json
        else [_printable, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
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

    return orjson.dumps(value, default=str).decode("utf-8", "replace")


def _printable(_logger: Any, _method: str, event: EventDict) -> EventDict:  # noqa: ANN401 - structlog's signature
    """Escape control characters, so that a task's data cannot drive the reader's terminal (CWE-117)."""
    return {
        key: value
        if key in {"traceback", "stack", "exc_info"} or not isinstance(value, str)
        else _escape(value)
        for key, value in event.items()
    }


def _escape(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
