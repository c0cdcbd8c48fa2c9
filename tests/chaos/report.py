"""What is told of a run: one table, and for each verdict the story of the first guilty task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rich.console import Console
from rich.table import Table

from sluice.core.task import Status
from tests.chaos.evidence import SECOND, Evidence
from tests.chaos.guilty import Guilty
from tests.chaos.plan import CLASSES
from tests.chaos.recovery import MOST_LATE, Window, windows
from tests.chaos.verdicts import POISONED, VERDICTS


@dataclass(frozen=True)
class Findings:
    """The checker's judgment. `recovery` is told, and judged only where the machine belongs to the run alone."""

    evidence: Evidence
    guilty: dict[str, list[Guilty]]
    counts: dict[str, int]
    occurred: Counter[str]
    recovery: list[Window]

    @property
    def clean(self) -> bool:
        """Whether nothing was found that may not be."""
        return not any(self.guilty.values())

    @property
    def missing(self) -> list[str]:
        """Classes of faults that never struck."""
        return [kind.name for kind in CLASSES if not self.occurred[kind.name]]

    def stories(self) -> list[str]:
        """For each verdict with a guilty one: what was found, and the shortest list of events that shows it."""
        told: list[str] = []
        for verdict, guilty in self.guilty.items():
            if guilty:
                stories = [(guilt, self.evidence.story(guilt.id) if guilt.id else []) for guilt in guilty]
                guilt, story = min(stories[:200], key=lambda pair: len(pair[1]))
                told.append(f"{verdict}: {len(guilty)}, such as {guilt.id or ''} {guilt.what}")
                told += [f"    {line}" for line in story]
        return told


def judge(evidence: Evidence) -> Findings:
    """Every verdict, and what is counted beside them."""
    rows = evidence.rows.values()
    submits = [op for op in evidence.ops if op.op == "submit"]
    cancels = Counter(op.canceled_from for op in evidence.ops if op.op == "cancel" and op.how == "ok")
    done = Counter(run.id for run in evidence.runs if run.how == "ok")
    counts = {
        "offered": len(submits),
        "accepted": sum(op.how == "ok" for op in submits),
        "answer unknown": sum(op.how == "info" for op in submits),
        "answer unknown, recovered": sum(op.how == "info" and op.id is not None for op in submits),
        **{str(status): sum(row.status == status for row in rows) for status in Status},
        "poisoned": sum(row.error == POISONED for row in rows),
        "runs": len(evidence.runs),
        "runs that came to their end again": sum(times - 1 for times in done.values()),
        "canceled while pending": cancels[Status.PENDING],
        "canceled while processing": cancels[Status.PROCESSING],
        "taken back from the dead": sum(
            (later.crashes or 0) > (earlier.crashes or 0)
            for changes in evidence.changes_of.values()
            for earlier, later in pairwise(changes)
        ),
        "transactional effects": sum(map(len, evidence.effects.values())),
        "processes ended": len(evidence.exits),
    }
    return Findings(
        evidence,
        {name: list(verdict(evidence)) for name, verdict in VERDICTS.items()},
        counts,
        Counter(fault.name for fault in evidence.faults if fault.struck),
        windows(evidence),
    )


def show(findings: Findings, facts: dict[str, Any], console: Console) -> None:
    """The table."""
    seconds = (findings.evidence.load[1] - findings.evidence.load[0]) / SECOND
    table = Table(title=f"chaos, seed {facts['seed']}, {seconds:.0f} s under load", title_justify="left")
    table.add_column("what")
    table.add_column("found", justify="right")
    table.add_column("allowed", justify="right")
    table.add_row("capacity, tasks/s", str(facts["tasks_per_second"]), "")
    table.add_row("offered, tasks/s", str(facts["offered_per_second"]), "")
    for name, count in findings.counts.items():
        table.add_row(name, str(count), "")
    table.add_section()
    for name, guilty in findings.guilty.items():
        table.add_row(name, str(len(guilty)), "0", style="red" if guilty else "")
    table.add_section()
    for name, times in findings.occurred.items():
        table.add_row(f"fault: {name}", str(times), "")
    table.add_section()
    table.add_row("from 10 s after each round of faults: done of offered, started late, backlog", "", "")
    _recovery(table, findings.recovery)
    console.print(table)
    for line in findings.stories():
        console.print(line, markup=False, highlight=False)


def _recovery(table: Table, found: Sequence[Window]) -> None:
    for window in found:
        table.add_row(
            f"after {' + '.join(window.faults)}",
            f"{window.ratio:.3f}, {window.late:.3f}, {window.backlog} ({window.others:.0%} to others)",
            f"{window.least}, {MOST_LATE}, {window.base}",
            style="" if window.recovered else "red" if window.judged else "yellow",
        )


def as_json(findings: Findings, facts: dict[str, Any]) -> dict[str, Any]:
    """The same for programs."""
    return {
        **{
            name: facts[name]
            for name in ("seed", "tasks_per_second", "offered_per_second", "quiet", "left", "settings")
        },
        "counts": findings.counts,
        "verdicts": {name: len(guilty) for name, guilty in findings.guilty.items()},
        "faults": {kind.name: findings.occurred[kind.name] for kind in CLASSES},
        "recovery": [{**window._asdict(), "ratio": round(window.ratio, 4)} for window in findings.recovery],
        "stories": findings.stories(),
    }
