"""How every picture of the report looks: one canvas, rows of names, few colors, text that stays text. Shows nothing."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

Axes: TypeAlias = Any

INK, MUTED, GRID = "#24292f", "#6e7781", "#d8dee4"
OURS, THEIRS, BAD = "#0b7285", "#adb5bd", "#c92a2a"
CLASSES = {"A": "#3b5bdb", "B": "#7048e8", "C": "#e8590c", "D": "#f59f00"}
PROCESSES = ("#0b7285", "#3b5bdb", "#e8590c", "#7048e8", "#f59f00", "#868e96")
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "sluice",
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "xtick.color": MUTED,
    "ytick.color": INK,
}
WIDTH = 9.0
ROW = 0.3
_HEAD = 0.95


def canvas(rows: int, *, foot: float = 0.0) -> tuple[Canvas, Axes]:
    """A picture with room for so many rows, and `foot` inches below them for words."""
    height = ROW * rows + _HEAD + foot
    made = Canvas(figsize=(WIDTH, height), layout="constrained")
    made.get_layout_engine().set(rect=(0, foot / height, 1, 1 - foot / height))
    return made, made.subplots()


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """A name for each row, from the top; no frame but a light grid."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(length=0)
    axes.grid(visible=True, axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def dots(axes: Axes, values: Sequence[float], row: int, *, color: str, face: str | None = None) -> None:
    """A dot for each run."""
    shown = face or color
    axes.plot(values, [row] * len(values), "o", color=color, markerfacecolor=shown, alpha=0.5, markersize=3.5)


def label(axes: Axes, words: str, x: float, row: int) -> None:
    """Words to the right of a mark."""
    axes.annotate(words, (x, row), (6, 0), textcoords="offset points", va="center", fontsize=8)


def logarithmic(axes: Axes, title: str) -> None:
    """A scale on which each step multiplies: 1, 2, 5, 10 ..."""
    axes.set_xscale("log")
    axes.set_xlabel(title)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def thousands(x: float) -> str:
    """A large number."""
    return f"{x:,.0f}" if x >= 10 or x == 0 else f"{x:g}"


def svg(picture: Canvas) -> bytes:
    """As SVG, without a date and without the name of a program."""
    picture.draw_without_rendering()
    picture.set_layout_engine("none")
    for axes in picture.axes:  # the layout's solver differs in the last bits from run to run
        axes.set_position([round(edge, 6) for edge in axes.get_position().bounds])
    out = io.BytesIO()
    picture.savefig(out, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    return re.sub(rb"[ \t]+\n", b"\n", out.getvalue())
