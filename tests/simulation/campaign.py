"""Many worlds, one after the other: what they did together, and which of them broke a rule."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.simulation.ablations import INTACT, Ablation
from tests.simulation.world import World

MARKS = (
    "canceled from pending",
    "canceled from processing",
    "claim -> processing",
    "drained",
    "drained without PostgreSQL",
    "ended itself: handlers outlived the lease",
    "fail -> failed",
    "fail -> pending",
    "finish -> completed",
    "give_back -> pending",
    "interrupted by a drain",
    "killed by its task",
    "late cancel message",
    "lease.lost",
    "lost COMMIT: it had not taken place",
    "lost COMMIT: it had taken place",
    "outcome written after its lease",
    "poisoned",
    "reap -> pending",
    "reap spared what had not begun",
    "redis.garbage",
    "a crowd that nobody serves",
    "consumers of different kinds",
    "disaster: clock ahead",
    "disaster: clock back",
    "disaster: redis full",
    "disaster: row locked",
    "tasks.locked",
    "retried by a person",
    "submission refused",
    "submission without an answer",
    "tasks.fenced",
    "suspect left waiting",
    "tasks.given_back another suspect is running",
    "tasks.given_back draining",
    "tasks.given_back full",
    "tasks.given_back full, claimed ahead",
    "tasks.given_back lease not trusted",
    "tasks.given_back the answer to its claim was lost",
    "tasks.publish_failed",
    "tasks.scanned",
    "upkeep.done promote",
)
"""What a campaign must have met, or it shows nothing about it."""


@dataclass(slots=True)
class Failure:
    """A world in which a rule was broken."""

    seed: int
    violations: list[str]


@dataclass(slots=True)
class Summary:
    """What a campaign did. Times in seconds."""

    seeds: int = 0
    tasks: int = 0
    simulated: float = 0.0
    real: float = 0.0
    longest_recovery: float = 0.0
    marks: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def missing(self) -> list[str]:
        """The marks that were not met."""
        return [mark for mark in MARKS if not self.marks[mark]]

    def __str__(self) -> str:
        ratio = self.simulated / self.real if self.real else 0.0
        return (
            f"{self.seeds} seeds, {self.tasks} tasks, {self.simulated:,.0f} s simulated in {self.real:.1f} s: "
            f"{ratio:,.0f} times as fast; all ended {self.longest_recovery:.0f} s after the healing at the latest; "
            f"{len(self.failures)} failed"
        )


def campaign(
    seeds: Iterable[int],
    *,
    ablation: Ablation = INTACT,
    told: Callable[[Summary], None] = lambda _: None,
    stop_at_first: bool = False,
) -> Summary:
    """Run them all, or until one fails."""
    summary = Summary()
    began = time.perf_counter()
    for seed in seeds:
        world = World(seed, ablation=ablation)
        history = world.run()
        summary.seeds += 1
        summary.tasks += len(history.rows)
        summary.simulated += world.loop.time()
        summary.marks.update(history.marks)
        summary.longest_recovery = max(summary.longest_recovery, world.recovery)
        if history.violations:
            summary.failures.append(Failure(seed, history.violations))
        summary.real = time.perf_counter() - began
        told(summary)
        if summary.failures and stop_at_first:
            break
    return summary


def catch(ablation: Ablation, within: int = 200) -> Failure | None:
    """The first world that notices what is left out; the one that was known to is asked first."""
    seeds = [ablation.seen_by, *(seed for seed in range(within) if seed != ablation.seen_by)]
    failures = campaign(seeds, ablation=ablation, stop_at_first=True).failures
    return failures[0] if failures else None
