"""Bars on a terminal's stderr while something takes its time; silence elsewhere. Changes nothing on the server."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from sluice.cli.client import ApiRefused, ApiUnreachable
from sluice.cli.render import STYLES, stderr
from sluice.cli.text import printable
from sluice.cli.watch import Watch
from sluice.core.errors import SluiceError
from sluice.core.task import TERMINAL

_SHORTEST = 0.02
_LONGEST = 0.5
_SILENT_SECONDS = 30.0
"""Seconds without an answer after which waiting ends: about two restarts of an API."""


class WaitedTooLong(SluiceError):
    """The time to wait is over and tasks are still open. They go on all the same."""

    def __init__(self, seconds: float, counts: Counter[str], hint: str) -> None:
        states = ", ".join(f"{counts[status]:,} {status}" for status in STYLES if counts[status])
        super().__init__(f"stopped waiting after {seconds:g} s ({states}); what is open goes on: {hint}")


class Bar:
    """One line of progress: how many of `total` are done, and a word on the rest. A context manager."""

    def __init__(self, label: str, total: int) -> None:
        console = stderr()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None if total > 1 else 20),
            *([MofNCompleteColumn()] if total > 1 else []),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal or console.is_dumb_terminal,
        )
        # One task is either done or not: its bar moves to and fro instead.
        self._bar = self._progress.add_task(label, total=total if total > 1 else None, note="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, done: int, note: Text | str = "") -> None:
        """Draw `done` and `note`; cheap when there is no terminal."""
        self._progress.update(self._bar, completed=done, note=note)

    def say(self, message: str) -> None:
        """Write one quiet line above the bar, or to stderr where there is none."""
        self._progress.console.print(Text(printable(message), style="dim"), soft_wrap=True)


def wait(
    watch: Watch, *, timeout: float | None, hint: str, remark: Callable[[], str | None] = lambda: None
) -> None:
    """Look until every task has ended: often at first, and never for more than half of the time.

    What `remark` has to say after a look is written to stderr.
    An API that is away for a moment is waited for. Raises WaitedTooLong after `timeout` seconds, and what Api raises.
    """
    started = answered = time.monotonic()
    pause = _SHORTEST
    with Bar("waiting", len(watch.open)) as bar:
        while watch.open:
            looked = time.monotonic()
            try:
                watch.look()
                answered = time.monotonic()
                bar.show(*_seen(watch.counts))
                if said := remark():
                    bar.say(said)
            except (ApiUnreachable, ApiRefused) as error:
                if not passes(error) or time.monotonic() - answered > _SILENT_SECONDS:
                    raise
                bar.show(_seen(watch.counts)[0], "the API does not answer")
            spent = time.monotonic() - looked
            left = timeout - (time.monotonic() - started) if timeout is not None else _LONGEST
            if watch.open and left <= 0:
                raise WaitedTooLong(timeout or 0, watch.counts, hint)
            time.sleep(max(0.0, min(max(pause, spent), left)) if watch.open else 0)
            pause = min(pause * 1.5, _LONGEST)


def passes(error: ApiUnreachable | ApiRefused) -> bool:
    """Whether the API may answer again in a moment."""
    return isinstance(error, ApiUnreachable) or error.status == 503


def _seen(counts: Counter[str]) -> tuple[int, Text]:
    note = Text()
    for status, style in STYLES.items():
        if counts[status]:
            note.append(f"{counts[status]:,} {status}  ", style=style)
    return sum(counts[status] for status in TERMINAL), note
