"""Raw runs, and the figures that follow from them. Runs nothing and prints nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from statistics import median
from typing import Any

NOISY = 0.10
"""Share of the machine that others may take before a run counts as noisy."""
BOUND = "the most it may be"
"""What a figure stands beside that has a bound and no other side."""


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement of one side. `value` is what is compared; `facts` is everything else that is known about it.

    A noisy round is repeated: `attempt` counts from 1.
    """

    workload: str
    side: str
    round: int
    attempt: int
    value: float
    unit: str
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def noise(self) -> float:
        """The share of the machine that other programs took, or the host withheld, meanwhile."""
        return float(self.facts.get("others", 0.0) + self.facts.get("steal", 0.0))

    @property
    def noisy(self) -> bool:
        """Whether that was enough to matter."""
        return self.noise > NOISY


@dataclass(frozen=True, slots=True)
class Turn:
    """One round: its number, from 1, and the order of its sides."""

    number: int
    order: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One of our figures beside another side of the same workload, or alone beside a bound.

    `target`: the least ratio, if one is set, and `most` the highest: for what is better when it is less. `at_most`: the
    most that our value itself may be, in its own unit. `suffices`: a value of ours that is enough whatever the ratio.
    """

    name: str
    workload: str
    ours: str
    beside: str | None
    target: float | None = None
    at_most: float | None = None
    most: float | None = None
    suffices: float | None = None

    def __post_init__(self) -> None:
        if self.beside is None and self.at_most is None:
            raise ValueError(f"{self.name} stands beside nothing")


@dataclass(frozen=True, slots=True)
class Figure:
    """A comparison with its runs: the medians of both sides, and the ratio within each round.

    Without another side the bound is the limit: the ratio then says how much of it is used.
    """

    name: str
    unit: str
    value: float
    beside: str
    limit: float
    ratio: float
    ratios: tuple[float, ...]
    target: float | None
    at_most: float | None = None
    most: float | None = None
    suffices: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether target and bounds are met; None without any."""
        if self.target is None and self.at_most is None and self.most is None:
            return None
        return self.within and (self.at_most is None or self.value <= self.at_most)

    @property
    def within(self) -> bool:
        """Whether the ratio is what it should be, if that is said, or our value enough without it."""
        enough = self.target is None or self.ratio >= self.target or self.value >= (self.suffices or inf)
        little = self.most is None or self.ratio <= self.most or self.value <= (self.suffices or 0)
        return enough and little


def counted(runs: Sequence[Run]) -> list[Run]:
    """The runs that figures rest on: of each round the attempt whose noisiest run was the least noisy."""
    attempts: dict[tuple[str, int], dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for run in runs:
        noise = attempts[run.workload, run.round]
        noise[run.attempt] = max(noise[run.attempt], run.noise)
    return [
        run
        for run in runs
        if run.attempt == min(attempts[run.workload, run.round].items(), key=lambda one: one[1])[0]
    ]


def figures(runs: Sequence[Run], comparisons: Sequence[Comparison]) -> list[Figure]:
    """A figure for each comparison whose sides were run. Ratios are taken within a round, never across.

    Beside nothing at all, where none is the most that may be, the ratio is the value itself.
    """
    found: dict[tuple[str, str], dict[int, Run]] = defaultdict(dict)
    for run in counted(runs):
        found[run.workload, run.side][run.round] = run
    made = []
    for comparison in comparisons:
        ours = found[comparison.workload, comparison.ours]
        theirs = _limits(comparison, found)
        rounds = sorted(ours.keys() & theirs.keys())
        if not rounds:
            continue
        ratios = tuple(round(ours[r].value / (theirs[r] or 1.0), 4) for r in rounds)
        made.append(
            Figure(
                name=comparison.name,
                unit=ours[rounds[0]].unit,
                value=median(ours[r].value for r in rounds),
                beside=comparison.beside or BOUND,
                limit=median(theirs[r] for r in rounds),
                ratio=median(ratios),
                ratios=ratios,
                target=comparison.target,
                at_most=comparison.at_most,
                most=comparison.most,
                suffices=comparison.suffices,
            )
        )
    return made


def _limits(comparison: Comparison, found: Mapping[tuple[str, str], Mapping[int, Run]]) -> dict[int, float]:
    """What our value is divided by in each round: the other side's, or the bound."""
    if comparison.beside is not None:
        theirs = found.get((comparison.workload, comparison.beside), {})
        return {number: run.value for number, run in theirs.items()}
    if comparison.at_most is None:
        return {}
    return dict.fromkeys(found.get((comparison.workload, comparison.ours), {}), comparison.at_most)


def turns(sides: Sequence[str], rounds: int) -> list[Turn]:
    """A B C, C B A, A B C ... so that no side always runs on a warmer machine."""
    return [Turn(number, tuple(sides if number % 2 else reversed(sides))) for number in range(1, rounds + 1)]
