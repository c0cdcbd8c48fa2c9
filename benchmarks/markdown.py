"""Words and tables of the report. Knows no workload."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.results import BOUND, Figure
from benchmarks.show import number


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """A Markdown table; all but the first `left` columns are set to the right."""
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * left + "--:|" * (len(titles) - left)]
    lines += ["| " + " | ".join(cell(word) for word in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def spread(figure: Figure) -> str:
    """The ratio with its range."""
    if len(figure.ratios) == 1:
        return number(figure.ratio)
    return f"**{number(figure.ratio)}** ({number(min(figure.ratios))} to {number(max(figure.ratios))})"


def beside(figure: Figure) -> str:
    """What it is compared with, and that side's own figure."""
    return "its bound" if figure.beside == BOUND else f"{figure.beside}: {number(figure.limit)}"


def known(value: float | None) -> str:
    """A number, or nothing."""
    return "" if value is None else number(value)


def words(values: Iterable[Any]) -> str:
    """One after the other."""
    return " ".join(str(value) for value in values) or "unknown"


def facts(told: Mapping[str, Any]) -> str:
    """Names and values in a line."""
    return ", ".join(f"{name} {value}" for name, value in told.items() if value is not None) or "none told"


def picture(plots: Mapping[str, str], name: str, caption: str) -> str:
    """A picture, where there is one of that name."""
    return f"![{caption}]({plots[name]})\n\n" if name in plots else ""


def cell(word: str) -> str:
    """What breaks no table."""
    return word.replace("|", "\\|").replace("\n", " ")
