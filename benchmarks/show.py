"""Progress, the table and the result file. Decides nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from benchmarks.results import NOISY, Figure, Run, counted

_MARKS = {True: "[green]✔[/]", False: "[red]✘[/]", None: ""}
_PIPE_WIDTH = 160


class Progress:
    """A bar on a terminal's stderr, and there or elsewhere a line for each run."""

    def __init__(self, total: int) -> None:
        console = Console(stderr=True, highlight=False)
        self._bar = Bar(
            SpinnerColumn(),
            TextColumn("measuring"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("measuring", total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._bar.stop()

    def say(self, sentence: str) -> None:
        """A line of its own."""
        self._bar.console.print(f"[dim]{sentence}[/]", soft_wrap=True)

    def ran(self, run: Run) -> None:
        """A run has ended."""
        noise = f"  [yellow]others took {run.noise:.0%} of the machine[/]" if run.noisy else ""
        again = f" again ({run.attempt})" if run.attempt > 1 else ""
        self._bar.console.print(
            f"{run.workload:26} round {run.round}{again}  {run.side:28} {number(run.value):>9} {run.unit}{noise}",
            soft_wrap=True,
        )
        if run.attempt == 1:
            self._bar.advance(self._task)


def table(figures: Sequence[Figure], runs: Sequence[Run]) -> None:
    """Each figure beside what it is compared with, on stdout."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PIPE_WIDTH)
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("figure", "sluice", "", "beside", "", "ratio", "target", ""):
        shown.add_column(title, justify="right" if title in {"sluice", "ratio", "target"} else "left")
    for figure in figures:
        shown.add_row(
            figure.name,
            f"[bold]{number(figure.value)}[/] {figure.unit}",
            "",
            figure.beside,
            number(figure.limit),
            f"[bold]{number(figure.ratio)}[/] ({number(min(figure.ratios))} to {number(max(figure.ratios))})",
            aim(figure),
            _MARKS[figure.met],
        )
    console.print(shown)
    judged = counted(runs)
    noisy = sum(run.noisy for run in judged)
    if noisy:
        console.print(
            f"[yellow]In {noisy} of {len(judged)} runs other programs took more than {NOISY:.0%} of the machine: "
            "repeat this on a quiet one.[/]"
        )
    missed = [figure for figure in figures if figure.met is False]
    for figure in missed:
        what = (
            f"{number(figure.value)} {figure.unit}"
            if figure.within
            else f"{number(figure.ratio)} of “{figure.beside}”"
        )
        console.print(f"[red]Missed: {figure.name} is {what}, the target is {aim(figure)}.[/]")


def aim(figure: Figure) -> str:
    """What was aimed at: a least ratio, or a value that is enough without it, a highest ratio, a most value."""
    instead = "" if figure.suffices is None else f" or {figure.suffices:,.0f} {figure.unit}"
    aims = (
        "" if figure.target is None else f"≥ {figure.target:g}{instead}",
        "" if figure.most is None else f"≤ {figure.most:g}{instead}",
        "" if figure.at_most is None else f"≤ {figure.at_most:g} {figure.unit}",
    )
    return ", ".join(word for word in aims if word)


def write(path: Path, found: dict[str, Any]) -> None:
    """Write the result file: JSON on one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, ensure_ascii=False) + "\n", encoding="utf-8")


def number(value: float) -> str:
    """Three digits or so."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
