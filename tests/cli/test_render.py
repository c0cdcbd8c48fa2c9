from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sluice.cli import render, welcome
from sluice.cli.embedded import Urls
from sluice.cli.remarks import age

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
ERROR = {"type": "E", "message": "no\nTraceback", "at": "2026-01-02T11:58:00Z"}
ID = "019b7e3c-1c00-7000-8000-000000000001"


def _task(**fields: Any) -> dict[str, Any]:
    return {
        "id": ID,
        "message": "Hello World",
        "status": "completed",
        "created_at": "2026-01-02T11:58:00Z",
        "kind": "echo",
        "queue": "default",
        "priority": 5,
        "payload": {},
        "attempt": 1,
        "max_attempts": 5,
        "consumer_id": None,
        "result": "Hello World",
        "error": None,
        **fields,
    }


def _shown(table: object, width: int = 120) -> str:
    screen = io.StringIO()
    Console(file=screen, width=width, highlight=False).print(table)
    return screen.getvalue()


def test_a_task_is_one_row_with_its_age_and_tries() -> None:
    shown = _shown(render.task_table([_task()], now=NOW))
    assert shown.split("\n")[1].split() == [ID, "completed", "echo", "default", "1/5", "2m", "Hello", "World"]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_narrow_terminal_cuts_the_message_and_never_the_id(width: int) -> None:
    shown = _shown(
        render.task_table([_task(message="x" * 500, kind="k" * 128, queue="q" * 64)], now=NOW), width
    )
    assert len(shown.splitlines()) == 2
    assert ID in shown


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"status": "pending", "run_at": "2026-01-02T12:05:30Z"}, "due in 5m  Hello World"),
        ({"status": "pending", "run_at": "2026-01-02T11:00:00Z"}, "Hello World"),
        (
            {"status": "pending", "run_at": "2026-01-02T12:00:09Z", "error": ERROR},
            "due in 9s  E: no  Hello World",
        ),
        ({"status": "pending", "run_at": "infinity", "message": None}, "-"),
        ({"status": "failed", "error": ERROR, "message": None}, "E: no"),
        ({"status": "processing", "error": ERROR}, "E: no  Hello World"),
        ({"status": "completed", "error": ERROR, "run_at": "2027-01-02T12:05:30Z"}, "Hello World"),
        ({"status": "failed", "error": {"type": "E", "message": "\x1b[2J"}}, r"E: \x1b[2J  Hello World"),
    ],
)
def test_what_is_due_and_what_failed_is_said_before_the_message(fields: dict[str, Any], said: str) -> None:
    [_, line] = _shown(render.task_table([_task(**fields)], now=NOW), 200).splitlines()
    assert line.rstrip().partition("  2m   ")[2] == said


@pytest.mark.parametrize("columns", [80, 109, 110, 200])
def test_on_a_narrow_terminal_remarks_stand_below_their_task(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        render, "_stdout", lambda: Console(width=columns, force_terminal=True, color_system=None)
    )
    error = {"type": "ValueError", "message": "x" * 500}
    lines = render.task_lines([_task(), _task(status="failed", error=error), _task()], now=NOW)
    assert all(len(line) <= columns for line in lines)
    assert len(lines) == (5 if columns < 110 else 4)
    assert [line.lstrip().startswith("ValueError: xxx") for line in lines] == [
        number == 3 and columns < 110 for number in range(len(lines))
    ]


def test_an_escape_sequence_in_a_message_is_seen_and_not_obeyed() -> None:
    evil = "\x1b[2Jgone\x07"
    for table in (
        render.task_table([_task(message=evil)]),
        render.task_details(_task(message=evil, result=evil)),
    ):
        shown = _shown(table)
        assert r"\x1b[2Jgone\x07" in shown or r"\u001b[2Jgone\u0007" in shown
        assert "\x1b[2J" not in shown
        assert "\x07" not in shown


def test_square_brackets_are_text_and_no_markup() -> None:
    assert "[bold]x[/bold]" in _shown(render.task_table([_task(message="[bold]x[/bold]")]))
    assert "[bold]x[/bold]" in _shown(render.task_details(_task(message="[bold]x[/bold]")))


def test_details_leave_out_what_is_not_there_yet() -> None:
    shown = _shown(render.task_details(_task(payload={"a": [1]}, error=None)))
    assert "consumer_id" not in shown
    assert "error" not in shown
    assert '"a": [' in shown
    assert "priority" in shown


def test_a_failure_names_the_tries_and_the_error() -> None:
    error = {"type": "ValueError", "message": "no such user", "at": "2026-01-02T12:00:00Z"}
    assert render.failure(_task(status="failed", attempt=3, error=error)) == (
        f"task {ID} failed after 3 tries: ValueError: no such user"
    )
    assert render.failure(_task(status="canceled")) == f"task {ID} is canceled"


@pytest.mark.parametrize(
    ("ago", "shown"),
    [
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=59), "59s"),
        (timedelta(minutes=1), "1m"),
        (timedelta(hours=25), "1d"),
        (timedelta(hours=2), "2h"),
    ],
)
def test_an_age_is_told_in_its_largest_unit_and_never_below_zero(ago: timedelta, shown: str) -> None:
    assert age((NOW - ago).isoformat(), NOW) == shown


def test_counts_leave_out_statuses_that_no_task_has() -> None:
    shown = _shown(render.counts_table({"completed": 2000, "failed": 0, "pending": 1}))
    assert [line.split() for line in shown.splitlines()] == [
        ["STATUS", "TASKS"],
        ["pending", "1"],
        ["completed", "2000"],
    ]


def test_an_error_is_one_line_however_long_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    render.error("a\nb " + "c" * 300 + "\x1b[0m")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "Error: a\\nb " + "c" * 300 + "\\x1b[0m\n"


@pytest.mark.parametrize("name", ["[work]", "[/b]", "[red]x[/red]", ":boom:"])
def test_a_directory_that_is_named_like_markup_is_shown_as_it_is(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    welcome.show(
        url="http://[::1]:8000",
        data=Path(name),
        kept=True,
        named={"PostgreSQL": "x at h, by DATABASE_URL"},
        embedded=Urls("", f"unix:///a:/{name}"),
        seconds=1,
    )
    told = capsys.readouterr().out
    assert f"  {name} (kept)  " in told
    assert "  http://[::1]:8000/docs  " in told
    assert f"unix:///a:/{name}" in told
