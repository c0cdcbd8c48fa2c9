"""Our lines, and what others do to the libraries that they share with us."""

from __future__ import annotations

import json
import logging
import logging.config
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest
import structlog

from sluice.core.events import StoreLost
from sluice.core.telemetry import log
from sluice.core.telemetry.report import Reporter
from tests.support.consuming import ROOT


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    kept = root.handlers[:], root.level, log._ours, logging.getLogRecordFactory()
    yield
    root.handlers[:], root.level, log._ours, factory = kept
    logging.setLogRecordFactory(factory)
    logging.disable(logging.NOTSET)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def refuse(*_: object, **__: object) -> NoReturn:
    raise ValueError("theirs")


SET_UP: dict[str, Callable[[], object]] = {
    "other classes": lambda: structlog.configure(
        wrapper_class=structlog.BoundLogger, logger_factory=structlog.PrintLoggerFactory()
    ),
    "processors that raise": lambda: structlog.configure(processors=[refuse]),
    "nothing is logged": logging.disable,
    "a dict": lambda: logging.config.dictConfig({"version": 1, "disable_existing_loggers": True}),
    "by force": lambda: logging.basicConfig(force=True, level="CRITICAL"),
    "records that raise": lambda: logging.setLogRecordFactory(refuse),
    "a root without handlers": logging.getLogger().handlers.clear,
}


@pytest.mark.parametrize("set_up", SET_UP.values(), ids=SET_UP)
def test_our_lines_come_whatever_others_set_up(
    capsys: pytest.CaptureFixture[str], set_up: Callable[[], object]
) -> None:
    log.configure("info", "json")
    report = Reporter()
    set_up()

    report(StoreLost("Redis", doing="pull", reason="gone"))
    log.handler_logger(task="7").info("said")

    captured = capsys.readouterr()
    assert [json.loads(line)["event"] for line in captured.err.splitlines()] == ["store.lost", "said"]
    assert captured.out == ""


def test_what_a_handler_has_bound_is_in_its_own_lines_alone(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "json")
    structlog.contextvars.bind_contextvars(customer="one")

    log.handler_logger(task="7").info("said")
    Reporter()(StoreLost("Redis", doing="pull", reason="gone"))
    structlog.get_logger().info("theirs")

    said, lost, theirs = map(json.loads, capsys.readouterr().err.splitlines())
    assert (said["customer"], said["task"]) == ("one", "7")
    assert theirs["customer"] == "one"
    assert "customer" not in lost


class Unprintable:
    def __str__(self) -> NoReturn:
        raise ValueError("theirs")

    __repr__ = __str__


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_value_that_cannot_be_told_loses_no_line(
    capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    log.configure("info", log_format)
    log.handler_logger(task="7").info("said", odd=Unprintable())
    told = capsys.readouterr().err
    assert "said" in told
    assert "7" in told


CLOSED = """
import os, socket, sys
from sluice.core.telemetry import log
log.configure("info", "json")
log.never_wait()
os.close(2)
ours, theirs = socket.socketpair()
assert theirs.fileno() == 2 or ours.fileno() == 2, (ours, theirs)
log.logger().info("after")
log.finish(5)
ours.setblocking(False)
theirs.setblocking(False)
for end in (ours, theirs):
    try:
        os._exit(len(end.recv(10)))
    except BlockingIOError:
        pass
"""


def test_a_stderr_that_is_closed_lets_no_line_into_what_gets_its_number() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CLOSED],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, Any] = json.loads(ended.stderr)
    assert (ended.returncode, found["event"]) == (0, "after")
