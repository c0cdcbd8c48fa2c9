from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from sluice.core.attempts import TaskFailed
from sluice.core.events import Finished, LoopStalled, StoreLost, Submitted
from sluice.core.telemetry import log
from sluice.core.telemetry.report import Reporter

HOSTILE = "\x1b[2J\x9b\u202e\r\n"
ESCAPED = r"\x1b[2J\x9b\u202e\r\n"


@pytest.fixture(autouse=True)
def _logging_stays_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, ours = root.handlers[:], root.level, log._ours
    yield
    log._ours = ours
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def failing() -> None:
    password = "hush"
    raise ValueError(f"boom {HOSTILE}" + password[:0])


def test_an_event_is_one_json_object_with_its_facts(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "json")

    Reporter("info")(StoreLost("Redis", doing="pull", reason="gone\nagain"))

    [line] = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "store.lost",
        "level": "warning",
        "store": "Redis",
        "doing": "pull",
        "reason": "gone\nagain",
    }


def test_without_a_terminal_the_log_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", None)
    log.logger().info("hello")
    assert lines(capsys)[0]["event"] == "hello"


def test_on_a_terminal_the_log_is_for_people(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    log.configure("info", None)

    log.logger().info("hello")

    assert "\x1b[1mhello" in capsys.readouterr().err


def test_events_below_the_level_are_counted_and_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "json")
    report = Reporter("info")

    report(Submitted(3))
    report(Submitted(4))
    report(Finished(2))
    report(StoreLost("Redis", doing="pull", reason="gone"))

    assert report.counts == {"tasks.submitted": 7, "tasks.finished": 2, "store.lost": 1}
    assert [line["event"] for line in lines(capsys)] == ["store.lost"]


def test_at_debug_every_event_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("debug", "json")
    Reporter("debug")(Submitted(3))
    assert lines(capsys)[0]["n"] == 3


def test_a_fact_that_is_missing_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "json")
    Reporter()(TaskFailed("1", "k", 1, 0.5, 1.5, "E"))
    assert "traceback" not in lines(capsys)[0]


def test_records_of_other_libraries_come_out_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("warning", "json")

    logging.getLogger("library").info("not this")
    logging.getLogger("library").warning("%d connections", 3)

    [line] = lines(capsys)
    assert (line["event"], line["level"]) == ("3 connections", "warning")


@pytest.mark.parametrize(
    "fact",
    ["\ud800", 1 << 70, {1: "x"}, {(1, 2): "x"}, b"\xff", {1, 2}, float("nan"), object()],
    ids=lambda fact: type(fact).__name__,
)
def test_no_fact_makes_a_line_that_is_lost_or_no_json(
    capsys: pytest.CaptureFixture[str], fact: object
) -> None:
    log.configure("info", "json")
    log.logger().info("hello", fact=fact)
    assert [line["event"] for line in lines(capsys)] == ["hello"]


def test_a_bound_logger_adds_its_facts_to_each_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "json")
    bound = log.logger(task="7")

    bound.info("one")
    bound.info("two", more=1)

    assert [(line["event"], line["task"]) for line in lines(capsys)] == [("one", "7"), ("two", "7")]


def test_what_a_task_says_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "console")

    log.logger().info(f"said {HOSTILE}", direct=HOSTILE, inside={"a": HOSTILE}, raw=b"\x1b")
    logging.getLogger("library").warning("said %s", HOSTILE)

    told = capsys.readouterr().err
    assert f"said {ESCAPED}" in told
    assert not set(told) & set("\x1b\x9b\u202e\r")
    assert len(told.splitlines()) == 2


def test_a_traceback_keeps_its_lines_and_nothing_else_of_the_task_s_choosing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.configure("info", "console")

    Reporter()(
        TaskFailed("1", "k", 1, 0.5, 1.5, "ValueError", f'Traceback\n  File "x"\nValueError: {HOSTILE}')
    )
    Reporter()(LoopStalled(seconds=5.0, stack=f'  File "y"\n    {HOSTILE}'))

    told = capsys.readouterr().err
    assert '\nTraceback\n  File "x"\nValueError: \\x1b[2J\\x9b\\u202e\\r\n' in told
    assert '\n  File "y"\n    \\x1b[2J' in told
    assert not set(told) & set("\x1b\x9b\u202e\r")


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_logged_exception_shows_its_frames_but_not_what_their_variables_hold(
    capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    log.configure("info", log_format)

    for tell in (log.logger().exception, logging.getLogger("library").exception):
        try:
            failing()
        except ValueError:
            tell("oops")

    told = capsys.readouterr().err
    assert told.count("in failing") == 2
    assert told.count("ValueError: boom") == 2
    assert told.count("'hush'") == 0
    assert "\x1b" not in told
