"""Result files, read back as values: sessions with their figures and runs. Computes medians and prints nothing."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.results import Figure, Run
from sluice.core.errors import SluiceError

AT_DEPTH, AT_SHALLOW = "very many rows", "few rows"
"""The sides of what a statement costs."""
_FIGURE = tuple(field.name for field in fields(Figure))
_RUN = tuple(field.name for field in fields(Run))


class Unreadable(SluiceError):
    """A file that is no result file."""


@dataclass(frozen=True, slots=True)
class Side:
    """The runs of one side of one workload, in the order in which they were made; `counted` are those of figures."""

    workload: str
    name: str
    unit: str
    runs: tuple[Run, ...]
    counted: tuple[Run, ...]

    @property
    def value(self) -> float:
        """The median of what counts."""
        return median(run.value for run in self.counted)

    def fact(self, name: str) -> float | None:
        """The median of a fact that is a number in every run that counts; None when one lacks it."""
        values = [run.facts.get(name) for run in self.counted]
        numbers = [float(value) for value in values if isinstance(value, int | float)]
        return median(numbers) if len(numbers) == len(values) else None

    def cpu(self) -> dict[str, float]:
        """Microseconds of CPU a task (or request) by process; empty when that was not measured."""
        spent = [(run.facts.get("cpu_seconds"), done(run)) for run in self.counted]
        if not all(isinstance(by, dict) and n for by, n in spent):
            return {}
        names = dict.fromkeys(name for by, _ in spent for name in by or ())
        return {
            name: median(1e6 * (by or {}).get(name, 0.0) / n for by, n in spent if n is not None)
            for name in names
        }


@dataclass(frozen=True, slots=True)
class Cost:
    """One statement, beside few rows and beside very many."""

    workload: str
    shallow: Side
    deep: Side


@dataclass(frozen=True, slots=True)
class Session:
    """One result file. `letter` names it in the report."""

    letter: str
    began: str
    told: Mapping[str, Any]
    figures: tuple[Figure, ...]
    sides: tuple[Side, ...]

    @property
    def peers(self) -> Mapping[str, str]:
        """The class of durability of each other queue that took part."""
        return dict(self.told.get("durability", {}))

    @property
    def workloads(self) -> list[str]:
        """In the order in which they were run."""
        return list(dict.fromkeys(side.workload for side in self.sides))

    @property
    def costs(self) -> list[Cost]:
        """What statements cost at depth."""
        found = []
        for workload in self.workloads:
            by = {side.name: side for side in self.of(workload)}
            if by.keys() == {AT_DEPTH, AT_SHALLOW}:
                found.append(Cost(workload, by[AT_SHALLOW], by[AT_DEPTH]))
        return found

    def of(self, workload: str) -> list[Side]:
        """Its sides."""
        return [side for side in self.sides if side.workload == workload]


def done(run: Run) -> int | None:
    """How many tasks or requests a run was about; None when it does not say."""
    for name in ("tasks", "rows"):
        if isinstance(run.facts.get(name), int) and run.facts[name] > 0:
            return int(run.facts[name])
    statuses = run.facts.get("statuses")
    return sum(statuses.values()) if isinstance(statuses, dict) else None


def read(paths: Iterable[Path]) -> list[Session]:
    """The sessions, the oldest first, whatever the order of their files. Raises Unreadable."""
    told = []
    for path in paths:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            told.append((found["began_at"], found))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unreadable(f"{path} is no result file: {error!r}") from error
    told.sort(key=lambda one: (one[0], json.dumps(one[1], sort_keys=True)))
    return [
        Session(
            letter,
            began,
            {key: value for key, value in found.items() if key not in {"figures", "runs"}},
            tuple(_figure(one) for one in found["figures"]),
            tuple(_sides(found["runs"])),
        )
        for letter, (began, found) in zip(_letters(), told, strict=False)
    ]


def families(sessions: Sequence[Session]) -> dict[str, list[tuple[str, list[Side]]]]:
    """Workloads with several sides, by the word that their names begin with."""
    found: dict[str, list[tuple[str, list[Side]]]] = {}
    for session in sessions:
        costs = {cost.workload for cost in session.costs}
        for workload in session.workloads:
            sides = session.of(workload)
            if len(sides) > 1 and workload not in costs and not session.peers:
                name = re.split(r"[^a-z]+", workload.lower())[0]
                title = f"{workload} (run {session.letter})" if len(sessions) > 1 else workload
                found.setdefault(name, []).append((title, sides))
    return found


def _letters() -> Iterator[str]:
    yield from string.ascii_uppercase
    number = 1
    while True:
        yield from (f"{letter}{number}" for letter in string.ascii_uppercase)
        number += 1


def _figure(told: Mapping[str, Any]) -> Figure:
    known = {name: told[name] for name in _FIGURE if name in told}
    return Figure(**{**known, "ratios": tuple(told["ratios"])})


def _sides(told: Iterable[Mapping[str, Any]]) -> Iterator[Side]:
    runs: dict[tuple[str, str], list[tuple[Run, bool]]] = {}
    for one in told:
        run = Run(**{name: one[name] for name in _RUN})
        runs.setdefault((run.workload, run.side), []).append((run, bool(one.get("counted", True))))
    for (workload, name), found in runs.items():
        counted = tuple(run for run, judged in found if judged)
        if counted:
            yield Side(workload, name, found[0][0].unit, tuple(run for run, _ in found), counted)
