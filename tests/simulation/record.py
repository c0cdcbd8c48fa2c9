"""What a simulated world did, and which rules it broke: each is a line in `violations`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sluice.core.task import ConsumerId, RunKey, TaskId
from tests.simulation.observed import Execution, Seen
from tests.simulation.store import SimStore

if TYPE_CHECKING:
    from tests.simulation.process import SimProcess


@dataclass(slots=True)
class Record:
    """`marks` counts what happened, so that a campaign can show that its branches were reached."""

    clock: Callable[[], float]
    store: SimStore
    note: Callable[[str], None]
    violations: list[str] = field(default_factory=list)
    over: bool = False
    blind_to: tuple[str, ...] = ()
    marks: Counter[str] = field(default_factory=Counter)
    rows: dict[TaskId, Seen] = field(default_factory=dict)
    submitted: set[TaskId] = field(default_factory=set)
    accepted: set[TaskId] = field(default_factory=set)
    unserved: set[TaskId] = field(default_factory=set)
    refused: set[TaskId] = field(default_factory=set)
    transactional: set[TaskId] = field(default_factory=set)
    canceled_pending: dict[TaskId, int] = field(default_factory=dict)
    holders: dict[RunKey, ConsumerId] = field(default_factory=dict)
    canceled_runs: set[RunKey] = field(default_factory=set)
    claimed_at: dict[RunKey, float] = field(default_factory=dict)
    processes: dict[ConsumerId, SimProcess] = field(default_factory=dict)
    incarnations: dict[str, SimProcess] = field(default_factory=dict)
    running: list[Execution] = field(default_factory=list)
    beats: dict[ConsumerId, float] = field(default_factory=dict)
    """When each consumer's last good beat took effect."""
    ended: dict[RunKey, float] = field(default_factory=dict)
    declared: set[ConsumerId] = field(default_factory=set)
    lost_commits: set[RunKey] = field(default_factory=set)
    started: set[RunKey] = field(default_factory=set)
    raised: set[RunKey] = field(default_factory=set)
    poisoned_by: dict[ConsumerId | None, TaskId] = field(default_factory=dict)
    neighbours_wait: Callable[[TaskId, float], bool] = lambda _, __: False
    stepped_ahead: Callable[[float], bool] = lambda _: False
    too_soon_to_judge: Callable[[], bool] = lambda: False
    names: dict[TaskId, str] = field(default_factory=dict)
    lives: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def wrong(self, rule: str, what: str) -> None:
        """A rule was broken. After the end, when coroutines are taken apart, nothing counts."""
        if self.over or rule.startswith(self.blind_to):
            return
        self.violations.append(f"{rule}: at {self.clock():.3f} s, {what}")
        self.note(f"VIOLATION {self.violations[-1]}")

    def name(self, task_id: TaskId) -> str:
        """A short name for a task, in the order of submission."""
        return self.names.setdefault(task_id, f"t{len(self.names)}")

    def tell(self, task_id: TaskId, what: str) -> None:
        """An event in a task's life."""
        line = f"{self.clock():9.3f}  {what}"
        self.lives[self.name(task_id)].append(line)
        self.note(f"{self.name(task_id)} {what}")
