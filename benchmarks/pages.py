"""The report as Markdown: what the result files say, in tables. Reads no file, draws nothing, leaves nothing out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.markdown import beside, picture, spread, table
from benchmarks.pages_detail import depth, every_run, limits, machines, spent
from benchmarks.pages_peers import peers
from benchmarks.recorded import Session
from benchmarks.results import Figure
from benchmarks.show import aim, number

INTRODUCTION = """\
# Benchmark report

Made by `python -m benchmarks.report` from the result files of `make bench` and `make bench-peers`; nothing here is
written by hand. [docs/performance.md](../docs/performance.md) says how each figure is measured.

Ratios are taken within a round, between runs that followed each other on the same servers, and hold from machine to
machine; rates do not. A figure is the median of its rounds, with the lowest and the highest in brackets.
"""
_MARKS = {True: "✔", False: "✘", None: ""}
_PEERS = "drain beside "


def page(sessions: Sequence[Session], plots: Mapping[str, str]) -> str:
    """The whole report. `plots`: the address of each picture there is, by its name."""
    parts = [
        INTRODUCTION,
        _targets(sessions, plots),
        peers(sessions, plots),
        _figures(sessions, plots),
        depth(sessions, plots),
        spent(sessions, plots),
        limits(sessions),
        machines(sessions),
        every_run(sessions),
    ]
    return "\n".join(part for part in parts if part)


def _targets(sessions: Sequence[Session], plots: Mapping[str, str]) -> str:
    judged = [(figure, one) for one in sessions for figure in one.figures if figure.met is not None]
    if not judged:
        return ""
    met = sum(bool(figure.met) for figure, _ in judged)
    rows = [
        (
            *(_MARKS[figure.met], figure.name, f"{number(figure.value)} {figure.unit}"),
            *(beside(figure), spread(figure), aim(figure), session.letter),
        )
        for figure, session in sorted(judged, key=lambda one: bool(one[0].met))
    ]
    titles = ("", "figure", "Sluice", "beside", "ratio", "target", "run")
    return (
        f"## Targets\n\n{met} of {len(judged)} are met. What is missed stands first.\n\n"
        + picture(plots, "targets", "Each figure by its target, with every round")
        + table(titles, rows, left=2)
    )


def _figures(sessions: Sequence[Session], plots: Mapping[str, str]) -> str:
    rows = [
        (figure.name, f"{number(figure.value)} {figure.unit}", beside(figure), spread(figure), session.letter)
        for session in sessions
        for figure in session.figures
        if figure.met is None and not figure.name.startswith(_PEERS) and not _is_cost(session, figure)
    ]
    pictures = "".join(
        picture(plots, name, "Every run, and the median of each side")
        for name in plots
        if name.startswith("runs-")
    )
    if not rows and not pictures:
        return ""
    titles = ("figure", "Sluice", "beside", "ratio", "run")
    return (
        "## Figures without a target\n\n"
        + (table(titles, rows) if rows else "")
        + ("\n### Every run, drawn\n\n" + pictures if pictures else "")
    )


def _is_cost(session: Session, figure: Figure) -> bool:
    return any(cost.workload == figure.name for cost in session.costs)
