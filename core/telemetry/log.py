"""Log lines: our own loggers, which nobody else sets up, and records of other libraries in the same form."""

from __future__ import annotations

import atexit
import json
import logging
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from sluice.core.telemetry.background import Background
from sluice.core.telemetry.current import with_attempt
from sluice.core.telemetry.lines import FACTS, rendering, without_fail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from structlog.typing import Processor

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


class _Sink:
    """Where the lines of our loggers go. No library that handlers' modules may set up stands in between."""

    def __init__(self, stream: TextIO | Background) -> None:
        self.stream = stream

    def write(self, line: str) -> None:
        """Write one line; a stream that somebody has closed takes none."""
        with suppress(OSError, ValueError):
            self.stream.write(line + "\n")
            self.stream.flush()

    debug = info = warning = warn = error = exception = critical = fatal = log = msg = write


class _Ours:
    """How this process's own lines are made, and where they go."""

    def __init__(self, level: str, render: Sequence[Processor], stream: TextIO) -> None:
        self.sink = _Sink(stream)
        self._wrapper: Any = structlog.make_filtering_bound_logger(LEVELS[level])
        self._steps = [*FACTS, without_fail(render)]

    def logger(self, *first: Processor, **facts: Any) -> Any:  # noqa: ANN401 - structlog's bound logger
        return self._wrapper(self.sink, [*first, *self._steps], facts)


_ours: _Ours | None = None


def configure(level: str, log_format: str | None) -> None:
    """Send every log record to stderr: lines for people on a terminal, one JSON object per line otherwise.

    Lines of other libraries come out like that for as long as nobody sets up `logging` or `structlog` anew.
    """
    global _ours  # noqa: PLW0603 - a process has one stderr
    if sys.stderr is None:  # started without one: its number is not to become a socket's
        sys.stderr = _nowhere()
    render = rendering(log_format)
    _ours = _Ours(level, render, sys.stderr)
    _set_up_logging(level, render)
    _set_up_structlog()


def _set_up_logging(level: str, render: Sequence[Processor]) -> None:
    """For the records of other libraries, and of handlers."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.contextvars.merge_contextvars, with_attempt, *FACTS],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])


def _set_up_structlog() -> None:
    """For handlers that use it without a word of their own."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            with_attempt,
            *FACTS,
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
    fd = _another_number()
    if fd is None:
        return  # a stream in memory: it never waits
    background = Background(fd, _lost)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr:
            handler.setStream(background)
    if _ours is not None:
        _ours.sink.stream = background
    atexit.register(background.drain, finish_seconds)


def hold_stderr() -> None:
    """From now on our lines go where stderr goes now, whatever handlers make of it. As `never_wait`, but it waits."""
    fd = _another_number()
    if fd is not None and _ours is not None:
        _ours.sink.stream = os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace")


def _another_number() -> int | None:
    """A number of our own: when a handler closes stderr, the next socket gets its number, and would get our lines."""
    try:
        return os.dup(sys.stderr.fileno())
    except (OSError, ValueError):
        return None


def say(line: str, *, seconds: float = 0.3) -> None:
    """One plain line for people, behind the log; on return it is written, or `seconds` have passed."""
    sink = _Sink(sys.stderr) if _ours is None else _ours.sink
    sink.write(line)
    finish(seconds)


def finish(seconds: float = 0.3) -> None:
    """Write what waits to be written, for those who end the process at once."""
    if _ours is not None and isinstance(_ours.sink.stream, Background):
        _ours.sink.stream.drain(seconds)


def logger(**facts: Any) -> Any:  # noqa: ANN401 - structlog's bound logger is typed by its wrapper
    """Our logger: it adds `facts` to each line, and whatever handlers set up does not reach it."""
    return _made().logger(**facts)


def handler_logger(**facts: Any) -> Any:  # noqa: ANN401 - as `logger`
    """The same for a handler: what it has bound in structlog.contextvars is in each line as well."""
    return _made().logger(structlog.contextvars.merge_contextvars, **facts)


def _made() -> _Ours:
    """What `configure` has made; without it, such as in a test of somebody's handler, lines come out as by default."""
    return _ours or _Ours("info", rendering(None), sys.stderr)


def _lost(n: int) -> str:
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return json.dumps({"n": n, "event": "log.lost", "level": "warning", "timestamp": at}) + "\n"


def _nowhere() -> TextIO:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
