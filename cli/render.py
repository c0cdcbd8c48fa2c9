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
from sluice.cli.remarks import age, remarks
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

_NARROW = 110
"""Columns of a terminal below which what the last column holds would be cut to a few letters."""


def stderr() -> Console:
    """Where everything else goes."""
    return Console(stderr=True, highlight=False)


def write_line(line: str) -> None:
    """One line of data, as it is: never wrapped, never coloured."""
    sys.stdout.write(f"{line}\n")


def write_table(table: Table) -> None:
    """A table on stdout, as wide as the terminal, or as wide as it likes in a pipe."""
    for line in _lines(_stdout(), table):
        write_line(line)


def write_tasks(tasks: Sequence[Task], *, header: bool = True, was: bool = False) -> None:
    """Tasks on stdout as `task_lines` has them."""
    for line in task_lines(tasks, header=header, was=was):
        write_line(line)


def task_lines(
    tasks: Sequence[Task], *, now: datetime | None = None, header: bool = True, was: bool = False
) -> list[str]:
    """Tasks as lines for stdout, one each; on a narrow terminal, remarks on a task stand on a line of their own."""
    console, moment = _stdout(), now or datetime.now(UTC)
    narrow = console.is_terminal and console.width < _NARROW
    table = task_table(tasks, now=moment, header=header, was=was, remarked=not narrow)
    lines = _lines(console, table)
    told = lines[: len(lines) - len(tasks)]
    for task, line in zip(tasks, lines[len(told) :], strict=True):
        told.append(line)
        said = remarks(task, moment) if narrow else ()
        told += [
            below for each in said for below in _lines(console, Text("  ").append_text(each), wrapped=False)
        ]
    return told


def _stdout() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDE)


def _lines(console: Console, shown: Table | Text, *, wrapped: bool = True) -> list[str]:
    with console.capture() as captured:
        console.print(shown, no_wrap=not wrapped, overflow=None if wrapped else "ellipsis")
    return [line.rstrip() for line in captured.get().splitlines()]


def write_json(value: object) -> None:
    """One JSON value on stdout, indented on a terminal and on one line elsewhere."""
    write_line(to_json(value, indent=2 if sys.stdout.isatty() else None))


def error(message: str) -> None:
    """One red line on stderr."""
    stderr().print(Text(f"Error: {printable(message)}", style="bold red"), soft_wrap=True)


def tell(message: str) -> None:
    """One line on stderr."""
    stderr().print(Text(printable(message)), soft_wrap=True)


def note(message: str) -> None:
    """One quiet line on stderr."""
    stderr().print(Text(printable(message), style="dim"), soft_wrap=True)


def task_table(
    tasks: Sequence[Task],
    *,
    now: datetime | None = None,
    header: bool = True,
    was: bool = False,
    remarked: bool = True,
) -> Table:
    """Tasks as rows. On a narrow terminal the message gives way, then the kind and the queue; never the id.

    `was` adds the status from which a task was canceled. `remarked`: remarks stand before the message.
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
            _message(task, remarks(task, moment) if remarked else ()),
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


def plural(count: int, noun: str) -> str:
    """`1 task`, `2,000 tasks`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def pointed(ids: Sequence[str]) -> str:
    """Commands that show what became of these tasks, or of the first of them."""
    return f"sluice show {ids[0]}" if len(ids) == 1 else f"sluice list, or sluice show {ids[0]} and so on"


def _message(task: Task, said: Sequence[Text]) -> Text:
    message = task.get("message")
    return Text("  ").join([*said, *([_cell(message)] if message is not None or not said else [])])


def _cell(value: object) -> Text:
    return Text("-" if value is None else printable(str(value)))
