"""The table of the peers, grouped by what is left of a task. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.peers.catalogue import AGAIN, MEANING, PEERS, Durability
from benchmarks.peers.pairs import OURS, Field
from benchmarks.results import NOISY, Figure, Run
from benchmarks.show import number

_PIPE_WIDTH = 160
_LEFT = ("", "queue", "version")
_COLUMNS = (
    *_LEFT,
    *("tasks/s", "sluice then", "ratio", "lowest to highest", "worker CPU µs/task", "servers", "worker MB"),
    *("WAL bytes/task", "tasks a run"),
)


def show(figures: Sequence[Figure], runs: Sequence[Run], field: Field) -> None:
    """One row for each queue, ours first; those without a figure below, with the reason."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PIPE_WIDTH)
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in _COLUMNS:
        shown.add_column(title, justify="left" if title in _LEFT else "right")
    found = {figure.beside: figure for figure in figures}
    ours = [run for run in runs if run.side == OURS]
    if ours:
        shown.add_row(
            Durability.KEPT,
            f"[bold]{OURS}[/]",
            "",
            number(median(run.value for run in ours)),
            *[""] * 3,
            *_costs(ours),
        )
    if AGAIN in found:
        _row(shown, found[AGAIN], runs, Durability.KEPT, "")
    for durability in Durability:
        members = [peer for peer in PEERS if peer.durability == durability and peer.name in found]
        if members:
            shown.add_section()
        for peer in members:
            version = field.environments[peer.name].packages[peer.distribution]
            _row(shown, found[peer.name], runs, durability, version)
    console.print(shown)
    _notes(console, runs, field)


def _notes(console: Console, runs: Sequence[Run], field: Field) -> None:
    """What the letters mean, who is missing and why, and whether the machine was quiet."""
    for durability in Durability:
        console.print(f"[dim]{durability}: {MEANING[durability]}[/]")
    for name, reason in field.absent.items():
        last = reason.strip().rpartition("\n")[2]
        console.print(f"[yellow]{name}: {escape(last)}[/]")
    noisy = sum(run.noisy for run in runs)
    if noisy:
        console.print(
            f"[yellow]In {noisy} of {len(runs)} runs other programs took more than {NOISY:.0%} of the machine: "
            "repeat this on a quiet one.[/]"
        )


def _row(shown: Table, figure: Figure, runs: Sequence[Run], durability: str, version: str) -> None:
    shown.add_row(
        durability,
        figure.beside,
        version,
        number(figure.limit),
        number(figure.value),
        f"[bold]{number(figure.ratio)}[/]",
        f"{number(min(figure.ratios))} to {number(max(figure.ratios))}",
        *_costs([run for run in runs if run.side == figure.beside]),
    )


def _costs(runs: Sequence[Run]) -> list[str]:
    return [
        number(median(_microseconds(run, ["worker"]) for run in runs)),
        number(median(_microseconds(run, run.facts["cpu_seconds"].keys() - {"worker"}) for run in runs)),
        number(median(run.facts["worker_memory_mb"] for run in runs)),
        number(median(run.facts["wal_bytes_per_task"] for run in runs)),
        f"{median(run.facts['tasks'] for run in runs):,.0f}",
    ]


def _microseconds(run: Run, processes: Iterable[str]) -> float:
    """CPU time for each task."""
    seconds: float = sum(run.facts["cpu_seconds"][process] for process in processes)
    return 1e6 * seconds / float(run.facts["tasks"])
