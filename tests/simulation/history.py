"""The checker that looks on: what clients heard, what handlers did, and what must hold in the end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from uuid import UUID

from sluice.consumer.runs.execute import GRACE_SECONDS
from sluice.consumer.runs.running import Stop
from sluice.core.task import TERMINAL, RunKey, Status, Task, TaskId
from tests.simulation.observed import Execution
from tests.simulation.statements import Statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sluice.core.task import NewTask
    from tests.simulation.process import SimProcess
    from tests.simulation.store_tables import TaskRow

_FORKING = 0.05
"""Seconds in which a thread or a child that is on its way when the stop comes still begins."""


class History(Statements):
    """All that is noted of a world and judged in it."""

    __slots__ = ()

    # What clients heard.

    def message(self, data: bytes) -> None:
        """On the channel of cancels or of delays; one that finds a newer run than it means came late (S3 cancels)."""
        words = data.decode().split(" ")
        row = self.rows.get(TaskId(UUID(words[0]))) if len(words) == 2 else None
        if row is not None and row.status is Status.PROCESSING and row.token > int(words[1]):
            self.marks["late cancel message"] += 1

    def canceled(self, task: Task, *, won: bool) -> None:
        """A PATCH was answered."""
        self.tell(task.id, f"cancel answered: from {task.canceled_from}, token {task.fencing_token}")
        if won and task.canceled_from is Status.PENDING:
            self.canceled_pending[task.id] = task.fencing_token

    # What handlers did.

    def starts(self, process: SimProcess, key: RunKey, mode: str) -> Execution:
        """A handler's first line."""
        task_id, token = key
        name, consumer = self.name(task_id), self.holders.get(key)
        self.tell(task_id, f"starts in {process.name} under token {token} ({mode})")
        execution = Execution(process, key, mode, consumer, self.clock())
        if key in self.started:
            self.wrong("R1 gate", f"{name} starts twice under token {token}")
        if consumer is None:
            self.wrong("R1 gate", f"{name} starts without a claim")
        if token < self.canceled_pending.get(task_id, 0):
            self.wrong("INV-7 cancel", f"{name} starts after its cancel from pending was answered")
        late = 0.0 if process.draining_since is None else self.clock() - process.draining_since
        # At the signal's instant the loop has not turned to it yet.
        if late > (0.0 if mode == "loop" else _FORKING):
            self.wrong("INV-11 drain", f"{name} starts in {process.name}, which is draining")
        frozen = mode != "loop" and process.was_frozen(self.claimed_at.get(key, 0.0))
        late = frozen or self.stepped_ahead(self.clock() - process.world.plan.lease)
        if consumer is not None and not self.store.tables.alive(consumer) and not late:
            self.wrong("INV-12 lease", f"{name} starts in {process.name} after its lease had run out")
        for other in self.running:
            if other.key[0] == task_id and not self._may_overlap(other):
                self.wrong("INV-12 overlap", f"{name} runs in {other.process.name} and in {process.name}")
        self.started.add(key)
        self.running.append(execution)
        at_once = sum(one.process is process for one in self.running)
        if at_once > process.capacity:
            self.wrong("INV-10 cap", f"{at_once} handlers run in {process.name}, at most {process.capacity}")
        return execution

    def _may_overlap(self, other: Execution) -> bool:
        """A row may be given to others while its handler is frozen or was a moment ago, and is about to be stopped.

        Or when its process is about to exit (C3), when it is a thread that nobody can stop or a coroutine that goes on
        after its time (C2 slots), or was canceled.
        """
        process = other.process
        return (
            process.dead
            or process.paused
            or process.was_frozen(max(other.started_at, self.clock() - process.stops_within))
            or process.drain_is_over
            or other.mode == "thread"
            or (other.mode == "loop" and self.clock() - other.started_at >= self._left_behind_after(other))
            or other.key in self.canceled_runs
        )

    def _left_behind_after(self, execution: Execution) -> float:
        row = self.store.tables.tasks.get(execution.key[0])
        return GRACE_SECONDS + (0.0 if row is None else row.timeout)

    def stopped(self, execution: Execution) -> None:
        """A handler was told to stop: if because its row was canceled or taken, then it was."""
        process, (task_id, token) = execution.process, execution.key
        row = self.store.tables.tasks.get(task_id)
        if process.consumer is None:
            return
        run = process.consumer.runs.running._runs.get(execution.key)
        if (
            row is not None
            and row.status == "processing"
            and row.fencing_token == token
            and run is not None
            and run.stop_reason is Stop.CANCELED
            and execution.consumer == process.consumer.lease.consumer  # a former id is a cause
        ):
            self.wrong("S3 stop", f"{self.name(task_id)} token {token} is stopped without a cause")
        if run is not None and run.stop_reason is Stop.LEASE and process.drains_undisturbed:
            self.wrong("INV-11 drain", f"{self.name(task_id)} is stopped in {process.name} before its time")

    def ends(self, execution: Execution, how: str) -> None:
        """A handler's last line."""
        self.tell(execution.key[0], f"ends in {execution.process.name}: {how}")
        if execution in self.running:
            self.running.remove(execution)
        process, within = execution.process, execution.process.stops_within
        for other in self.running:
            if (
                other.key[0] == execution.key[0]
                and other.key[1] > execution.key[1]
                and self.clock() - other.started_at > within
                and not self._may_overlap(execution)
            ):
                self.wrong("INV-12 overlap", f"{self.name(other.key[0])} ran on in {process.name}")
        if how == "canceled" and execution.process.draining_since is not None:
            self.marks["interrupted by a drain"] += 1
        if how == "raised":
            self.raised.add(execution.key)
        if how in {"returned", "raised"}:
            self.ended[execution.key] = self.clock()

    def process_died(self, process: SimProcess) -> None:
        """Nothing of it runs any more."""
        self.running = [one for one in self.running if one.process is not process]

    # The end.

    def leave_alone(self, unserved: Sequence[NewTask]) -> None:
        """Tasks that are there without a client's doing, and that nobody may touch."""
        self.unserved = {task.id for task in unserved}
        self.marks["a crowd that nobody serves"] += bool(unserved)

    def close(self, *, everything_ended: bool) -> None:
        """What must hold when it is over."""
        tasks = self._tasks()
        for task_id in sorted(self.unserved):
            if (row := self.store.tables.tasks.get(task_id)) is None or row.fencing_token:
                self.wrong("unserved", f"{self.name(task_id)} was touched, and nobody serves its kind")
        for task_id in sorted((set(tasks) - self.submitted) | (set(tasks) & self.refused)):
            self.wrong("unexpected", f"{self.name(task_id)} exists although its submission was withdrawn")
        for task_id in sorted(self.accepted - set(tasks)):
            self.wrong("INV-1 durability", f"{self.name(task_id)} was accepted and has no row")
        effects = Counter(task_id for task_id, _ in self.store.effects)
        for task_id, row in tasks.items():
            wanted = int(row.status == "completed" and task_id in self.transactional)
            if effects[task_id] != wanted:
                self.wrong(
                    "INV-6 effects",
                    f"{self.name(task_id)} is {row.status} and its effects took place {effects[task_id]} times",
                )
            if everything_ended and not self.violations and row.status not in TERMINAL:
                self.wrong("INV-2 lost", f"{self.name(task_id)} is {row.status}, in the end")

    def unended(self) -> list[TaskId]:
        """Rows that are not in a terminal state."""
        return [row.id for row in self._tasks().values() if row.status not in TERMINAL]

    def _tasks(self) -> dict[TaskId, TaskRow]:
        """All that clients have submitted."""
        tasks = self.store.tables.tasks
        return {task_id: row for task_id, row in tasks.items() if task_id not in self.unserved}
