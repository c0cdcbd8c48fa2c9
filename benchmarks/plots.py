"""The report's pictures: the same sessions make the same bytes. Decides nothing, reads no file.

Every mark is a run or a median, and each scale says what it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from benchmarks.peers.catalogue import AGAIN, MEANING, Durability
from benchmarks.recorded import Cost, Session, Side, families
from benchmarks.results import Figure
from benchmarks.show import number
from benchmarks.strokes import (
    BAD,
    CLASSES,
    INK,
    MUTED,
    OURS,
    PROCESSES,
    ROW,
    STYLE,
    THEIRS,
    WIDTH,
    canvas,
    dots,
    label,
    logarithmic,
    name_rows,
    svg,
    thousands,
)

_SLUICE = "sluice"


def draw(sessions: Sequence[Session]) -> dict[str, bytes]:
    """Each picture by its name; none where there is nothing to show."""
    with mpl.rc_context(STYLE):
        made = {
            "targets": _targets(sessions),
            "peers": _peers(sessions),
            "depth": _depth(sessions),
            "cpu": _cpu(sessions),
            **{f"runs-{name}": _runs(sides) for name, sides in families(sessions).items()},
        }
        return {name: svg(picture) for name, picture in made.items() if picture is not None}


def _targets(sessions: Sequence[Session]) -> Canvas | None:
    """How far each figure is beyond its target: 1 is reached, whatever its direction."""
    judged = [figure for session in sessions for figure in session.figures if figure.met is not None]
    if not judged:
        return None
    judged.sort(key=lambda figure: figure.met is True)
    picture, axes = canvas(len(judged))
    for row, figure in enumerate(judged):
        shares = [_share(figure, ratio) for ratio in figure.ratios]
        color = OURS if figure.met else BAD
        dots(axes, shares, row, color=color)
        axes.plot([_share(figure, figure.ratio)], [row], "D", color=color, markersize=6)
    axes.axvline(1.0, color=INK, linewidth=1)
    logarithmic(axes, "1 is the target, to the right is better (dots: rounds, diamond: their median)")
    name_rows(axes, [_short(figure) for figure in judged])
    return picture


def _share(figure: Figure, ratio: float) -> float:
    """A figure with a target by that, or by the value that suffices; one with a bound by how far it stays below."""
    if figure.target is not None:
        by_value = figure.value / figure.suffices if figure.suffices else 0.0
        return max(ratio / figure.target, by_value, 1e-3)
    if figure.most is not None:
        by_value = figure.suffices / max(figure.value, 1e-3) if figure.suffices else 0.0
        return max(figure.most / max(ratio, 1e-3), by_value)
    return 1 / max(figure.value / (figure.at_most or 1.0) * ratio / (figure.ratio or 1.0), 1e-3)


def _short(figure: Figure) -> str:
    beside = "" if figure.target is None and figure.most is None else f" / {figure.beside}"
    return f"{figure.name}{beside}"


def _peers(sessions: Sequence[Session]) -> Canvas | None:
    """Every queue's rate as a share of ours in the same pair, the fastest first: the machine changes between pairs."""
    bars: list[tuple[str, str, float, list[float], str]] = []
    noise: list[float] = []
    for session in sessions:
        for figure in session.figures if session.peers else ():
            shares = [1 / ratio for ratio in figure.ratios]
            if figure.beside in session.peers:
                rate = f": {number(figure.limit)} tasks/s"
                bars.append((figure.beside, session.peers[figure.beside], 1 / figure.ratio, shares, rate))
            elif figure.beside == AGAIN:
                noise += shares
    if not bars:
        return None
    bars.append((_SLUICE, Durability.KEPT.value, 1.0, noise, ": beside itself" if noise else ""))
    bars.sort(key=lambda bar: -bar[2])
    picture, axes = canvas(len(bars), foot=0.75)
    for row, (name, kept, share, shares, told) in enumerate(bars):
        color = OURS if name == _SLUICE else CLASSES.get(kept, THEIRS)
        axes.barh(row, share, color=color, alpha=0.85, height=0.62)
        dots(axes, shares, row, color=INK)
        label(axes, f"{number(share)}{told} ({kept})", max([share, *shares]), row)
    axes.set_xlabel("tasks a second, as a share of Sluice's in the same pair (bar: median, dots: pairs)")
    axes.set_xlim(0, axes.get_xlim()[1] * 1.12)
    name_rows(axes, [bar[0] for bar in bars])
    for at, durability in enumerate(Durability):
        picture.text(
            0.02 + 0.5 * (at % 2),
            (0.34 - 0.2 * (at // 2)) / picture.get_figheight(),
            f"{durability}: {MEANING[durability]}",
            color=CLASSES[durability.value],
            fontsize=8,
        )
    return picture


def _depth(sessions: Sequence[Session]) -> Canvas | None:
    """From few rows to very many, a line for each statement."""
    costs: list[Cost] = [cost for session in sessions for cost in session.costs]
    if not costs:
        return None
    picture, axes = canvas(len(costs))
    for row, cost in enumerate(costs):
        shallow, deep = (max(side.value, 1e-3) for side in (cost.shallow, cost.deep))
        axes.plot([shallow, deep], [row, row], "-", color=THEIRS, linewidth=2, zorder=1)
        axes.plot([shallow], [row], "o", color="white", markeredgecolor=MUTED, markersize=6)
        axes.plot([deep], [row], "o", color=OURS, markersize=6)
    logarithmic(axes, "ms (hollow: beside few rows, full: beside very many)")
    name_rows(axes, [cost.workload for cost in costs])
    return picture


def _cpu(sessions: Sequence[Session]) -> Canvas | None:
    """Stacked by process, for what is measured in tasks."""
    sides = [
        side
        for session in sessions
        for side in session.sides
        if side.unit == "tasks/s" and side.cpu() and not session.peers
    ]
    if not sides:
        return None
    names = list(dict.fromkeys(name for side in sides for name in side.cpu()))
    colors = {name: PROCESSES[at % len(PROCESSES)] for at, name in enumerate(names)}
    most = sorted(sum(side.cpu().values()) for side in sides)
    limit = min(most[-1], 4 * most[len(most) // 2])
    picture, axes = canvas(len(sides), foot=0.3)
    for row, side in enumerate(sides):
        left = 0.0
        for name, spent in side.cpu().items():
            shown = max(0.0, min(spent, limit - left))
            axes.barh(row, shown, left=left, color=colors[name], height=0.62)
            left += shown
        label(axes, number(sum(side.cpu().values())), left, row)
    axes.set_xlim(0, limit * 1.12)
    axes.set_xlabel("µs of CPU for each task" + (" (longer bars are cut off)" if most[-1] > limit else ""))
    name_rows(axes, [f"{side.workload}: {side.name}" for side in sides])
    handles = [Patch(color=colors[name], label=name) for name in names]
    picture.legend(handles=handles, loc="lower left", ncols=len(names), frameon=False, fontsize=8)
    return picture


def _runs(workloads: Sequence[tuple[str, list[Side]]]) -> Canvas:
    """One strip for each workload: a bar to the median, a dot for each run, hollow where others used the machine."""
    heights = [len(sides) for _, sides in workloads]
    picture = Canvas(figsize=(WIDTH, sum(ROW * n + 0.72 for n in heights) + 0.2), layout="constrained")
    every = picture.subplots(len(workloads), 1, squeeze=False, height_ratios=[n + 0.6 for n in heights])
    for (title, sides), (axes,) in zip(workloads, every, strict=True):
        for row, side in enumerate(sides):
            color = OURS if row == 0 and not title.startswith("limit") else THEIRS
            axes.barh(row, side.value, color=color, alpha=0.8, height=0.6)
            for noisy, face in ((False, INK), (True, "none")):
                values = [run.value for run in side.runs if run.noisy is noisy]
                dots(axes, values, row, color=INK, face=face)
            label(axes, number(side.value), max(run.value for run in side.runs), row)
        axes.set_title(f"{title}, {sides[0].unit}", loc="left", fontsize=9, color=INK)
        axes.set_xlim(0, axes.get_xlim()[1] * 1.1)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: thousands(x)))
        name_rows(axes, [side.name for side in sides])
    return picture
