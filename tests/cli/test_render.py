from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sluice.cli import render, welcome
from sluice.cli.embedded import Urls

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
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
    assert render.age((NOW - ago).isoformat(), NOW) == shown


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
        embedded=Urls("", f"unix:///a:/{name}"),
        seconds=1,
    )
    told = capsys.readouterr().out
    assert f"  {name} (kept)  " in told
    assert "  http://[::1]:8000/docs  " in told
    assert f"unix:///a:/{name}" in told
