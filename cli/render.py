"""What a person sees: tables, details, one red line for an error. Fetches nothing and decides no exit status.

Data goes to stdout, everything else to stderr, so that a pipe carries data alone.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sluice.cli.client import Task
from sluice.cli.text import printable, to_json

STYLES = {
    "pending": "yellow",
    "processing": "cyan",
    "completed": "green",
    "failed": "red",
    "canceled": "magenta",
}
_WIDE = 10_000
"""Columns when stdout is no terminal: nothing is cut for a pipe."""

_ONE_LINE = 60
_NAME = 16
"""So much of a kind and of a queue is shown before the message gets anything."""

_AGES = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def stderr() -> Console:
    """Where everything else goes."""
    return Console(stderr=True, highlight=False)


def write_line(line: str) -> None:
    """One line of data, as it is: never wrapped, never coloured."""
    sys.stdout.write(f"{line}\n")


def write_table(table: Table) -> None:
    """A table on stdout, as wide as the terminal, or as wide as it likes in a pipe."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDE)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        write_line(line.rstrip())


def write_json(value: object) -> None:
    """One JSON value on stdout, indented on a terminal and on one line elsewhere."""
    write_line(to_json(value, indent=2 if sys.stdout.isatty() else None))


def error(message: str) -> None:
    """One red line on stderr."""
    stderr().print(Text(f"Error: {printable(message)}", style="bold red"), soft_wrap=True)


def note(message: str) -> None:
    """One quiet line on stderr."""
    stderr().print(Text(printable(message), style="dim"), soft_wrap=True)


def task_table(
    tasks: Sequence[Task], *, now: datetime | None = None, header: bool = True, was: bool = False
) -> Table:
    """Tasks as rows. On a narrow terminal the message gives way, then the kind and the queue; never the id.

    `was` adds the status from which a task was canceled.
    """
    table = Table(box=None, pad_edge=False, show_header=header, header_style="bold")
    table.add_column("ID", no_wrap=True, min_width=36)
    table.add_column("STATUS", no_wrap=True, min_width=10)
    if was:
        table.add_column("WAS", no_wrap=True, min_width=10)
    for name in ("kind", "queue"):
        longest = max((len(str(task.get(name))) for task in tasks), default=0)
        table.add_column(name.upper(), no_wrap=True, overflow="ellipsis", min_width=min(longest, _NAME))
    table.add_column("TRY", no_wrap=True, min_width=3)
    table.add_column("AGE", no_wrap=True, min_width=3)
    table.add_column("MESSAGE", no_wrap=True, overflow="ellipsis", ratio=1)
    moment = now or datetime.now(UTC)
    for task in tasks:
        table.add_row(
            _cell(task.get("id")),
            status_text(task),
            *([_cell(task.get("canceled_from"))] if was else []),
            _cell(task.get("kind")),
            _cell(task.get("queue")),
            _cell(f"{task.get('attempt')}/{task.get('max_attempts')}"),
            _cell(age(str(task.get("created_at")), moment)),
            _cell(task.get("message")),
        )
    return table


def task_details(task: Task) -> Table:
    """Every field that is set, one a line, in the API's order."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, value in task.items():
        if value is None:
            continue
        if name == "status":
            table.add_row(name, status_text(task))
        elif isinstance(value, str) and name != "result":
            table.add_row(name, Text(printable(value)))
        else:
            table.add_row(name, Text(_short_json(value)))
    return table


def _short_json(value: object) -> str:
    """On one line while that is easily read."""
    line = to_json(value)
    return line if len(line) <= _ONE_LINE else to_json(value, indent=2)


def counts_table(counts: Mapping[str, int]) -> Table:
    """How many tasks have each status; statuses that none has are left out."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("STATUS")
    table.add_column("TASKS", justify="right")
    for status, style in STYLES.items():
        if counts.get(status):
            table.add_row(Text(status, style=style), str(counts[status]))
    return table


def failure(task: Task) -> str:
    """Why a task did not complete, in one sentence."""
    status = task.get("status")
    reason = task.get("error")
    if status == "failed" and isinstance(reason, dict):
        tries = task.get("attempt")
        times = "1 try" if tries == 1 else f"{tries} tries"
        return f"task {task.get('id')} failed after {times}: {reason.get('type')}: {reason.get('message')}"
    return f"task {task.get('id')} is {status}"


def status_text(task: Task) -> Text:
    """The status in its colour."""
    status = str(task.get("status"))
    return Text(printable(status), style=STYLES.get(status, ""))


def age(created_at: str, now: datetime) -> str:
    """How long ago, in the largest fitting unit. This machine's clock against the database's: never below zero."""
    try:
        seconds = max(0.0, (now - datetime.fromisoformat(created_at)).total_seconds())
    except (ValueError, TypeError):
        return "?"
    return next((f"{int(seconds // size)}{unit}" for size, unit in _AGES if seconds >= size), "0s")


def plural(count: int, noun: str) -> str:
    """`1 task`, `2,000 tasks`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def pointed(ids: Sequence[str]) -> str:
    """A command that shows what became of these tasks."""
    return f"sluice show {ids[0]}" if len(ids) == 1 else "sluice list"


def _cell(value: object) -> Text:
    return Text("-" if value is None else printable(str(value)))
