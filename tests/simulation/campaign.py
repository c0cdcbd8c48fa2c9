"""Many worlds, one after the other: what they did together, and which of them broke a rule."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

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
    "tasks.given_back full, prefetched",
    "tasks.given_back lease not trusted",
    "tasks.given_back the answer to its claim was lost",
    "tasks.publish_failed",
    "tasks.scanned",
    "upkeep.done promote",
)
"""What a campaign must have met, or it shows nothing about it."""


@dataclass(frozen=True, slots=True)
class Lived:
    """What one world did. Times in seconds."""

    seed: int
    tasks: int
    simulated: float
    recovery: float
    marks: Counter[str]
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
    failures: list[Lived] = field(default_factory=list)

    def add(self, world: Lived) -> None:
        """Count this world as well."""
        self.seeds += 1
        self.tasks += world.tasks
        self.simulated += world.simulated
        self.marks.update(world.marks)
        self.longest_recovery = max(self.longest_recovery, world.recovery)
        if world.violations:
            self.failures.append(world)

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


def live(seed: int, ablation: Ablation = INTACT) -> Lived:
    """Run one world to its end."""
    world = World(seed, ablation=ablation)
    history = world.run()
    return Lived(
        seed=seed,
        tasks=len(history.rows),
        simulated=world.loop.time(),
        recovery=world.recovery,
        marks=Counter(history.marks),
        violations=history.violations,
    )


def campaign(worlds: Iterable[Lived], *, told: Callable[[Summary], None] = lambda _: None) -> Summary:
    """Sum up the worlds, which run as they are asked for; `told` sees the sum after each."""
    summary = Summary()
    began = time.perf_counter()
    for world in worlds:
        summary.add(world)
        summary.real = time.perf_counter() - began
        told(summary)
    return summary


def catch(ablation: Ablation, within: int = 200) -> Lived | None:
    """The first world that notices what is left out; the one that was known to is asked first."""
    seeds = [ablation.seen_by, *(seed for seed in range(within) if seed != ablation.seen_by)]
    return next((world for world in map(partial(live, ablation=ablation), seeds) if world.violations), None)
