"""`sluice list`: tasks as a table, as ids or as JSON, once or again and again. Keeps memory to one page.

Each function returns its exit status.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.live import Live
from rich.text import Text
from typer import BadParameter

from sluice.cli import render
from sluice.cli.address import api_url
from sluice.cli.client import PAGE_LIMIT, Api, ApiRefused, ApiUnreachable, Task
from sluice.cli.progress import passes
from sluice.cli.text import to_json
from sluice.cli.times import Since

WATCH_SECONDS = 2.0
_FURTHER = 10
"""How many times as many a person who wants more is told to ask for."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which tasks are asked for. `since`: created then or later; a time before now moves on with each look."""

    fields: Mapping[str, str]
    since: Since | None

    def asked(self) -> dict[str, str]:
        """Return the parameters of `GET /tasks`, as of now."""
        since = {} if self.since is None else {"since": self.since.at(datetime.now(UTC))}
        return {**self.fields, **since}


class Pages:
    """The newest `limit` tasks, or all (None), a page at a time. Afterwards `more` says whether there are others."""

    def __init__(self, api: Api, filters: Mapping[str, str], limit: int | None) -> None:
        self._api = api
        self._filters = filters
        self._limit = limit
        self.more = False

    def __iter__(self) -> Iterator[list[Task]]:
        """Read them."""
        cursor: str | None = None
        left = self._limit
        while left is None or left > 0:
            size = PAGE_LIMIT if left is None else min(left, PAGE_LIMIT)
            tasks, cursor = self._api.page(cursor=cursor, limit=size, filters=self._filters)
            if tasks:
                yield tasks
            if cursor is None:
                return
            left = None if left is None else left - len(tasks)
        self.more = True  # a page is full, and its cursor leads on


def list_tasks(filters: Filters, *, limit: int | None, as_json: bool, ids_only: bool) -> int:
    """Print the newest `limit` tasks, or all (None)."""
    with Api(api_url()) as api:
        pages = Pages(api, filters.asked(), limit)
        if as_json:
            _write_array(pages)
            return 0
        found = _write_ids(pages) if ids_only else _write_tables(pages)
    if not found:
        render.note("no task matches")
    elif pages.more:
        render.note(
            f"{render.plural(found, 'task')} shown, there are more: --limit {found * _FURTHER} or --all"
        )
    return 0


def watch_tasks(filters: Filters, *, limit: int | None) -> int:
    """Draw the newest tasks, as many as fit, anew every 2 s, until Ctrl-C (KeyboardInterrupt).

    An API that is away for a moment is waited for. Raises BadParameter when stdout is no terminal.
    """
    console = Console(highlight=False)
    if not sys.stdout.isatty() or console.is_dumb_terminal:
        raise BadParameter("it draws on a terminal, and stdout is none", param_hint="--watch")
    with Api(api_url()) as api:
        lines, problem = _look(api, filters, limit, console.height), ""
        with Live(console=console, screen=True, auto_refresh=False) as screen:
            while True:
                screen.update(_drawn(lines, problem, console.height), refresh=True)
                time.sleep(WATCH_SECONDS)
                try:
                    lines, problem = _look(api, filters, limit, console.height), ""
                except (ApiUnreachable, ApiRefused) as error:
                    if not passes(error):
                        raise
                    problem = "the API does not answer"


def _look(api: Api, filters: Filters, limit: int | None, height: int) -> list[str]:
    fitting = max(1, height - 2)
    pages = Pages(api, filters.asked(), fitting if limit is None else min(limit, fitting))
    tasks = [task for page in pages for task in page]
    return render.task_lines(tasks) if tasks else ["no task matches"]


def _drawn(lines: list[str], problem: str, height: int) -> Text:
    """The lines that fit, and below them when they were drawn."""
    drawn = Text("\n").join(Text.from_ansi(line) for line in lines[: max(1, height - 1)])
    clock = datetime.now().astimezone()
    said = problem or "Ctrl-C ends it"
    drawn.append(f"\n{clock:%H:%M:%S}  {said}", style="red" if problem else "dim")
    return drawn


def _write_array(pages: Pages) -> None:
    """One array, one task a line: a program parses the whole, a person still reads it."""
    line = "["
    for tasks in pages:
        for task in tasks:
            if line != "[":
                render.write_line(f"{line},")
                line = ""
            line += to_json(task)
    render.write_line(f"{line}]")


def _write_ids(pages: Pages) -> int:
    found = 0
    for tasks in pages:
        for task in tasks:
            render.write_line(task["id"])
        found += len(tasks)
    return found


def _write_tables(pages: Pages) -> int:
    found = 0
    for tasks in pages:
        render.write_tasks(tasks, header=not found)
        found += len(tasks)
    return found
