"""What a simulated world did, and the checker that looks on: each rule broken is a line in `violations`.

It compares rows before and after each statement, so it rests on what the store holds and not on how it got there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from consumer.running import Stop
from core.lifecycle import allowed
from core.task import POISONED_AFTER_CRASHES, TERMINAL, ConsumerId, FencingToken, RunKey, Status, Task, TaskId
from db.claims import Completion
from tests.simulation.observed import Execution, Seen
from tests.simulation.store import SimStore

if TYPE_CHECKING:
    from tests.simulation.ports import Call
    from tests.simulation.process import SimProcess

_VERBS = {"claim_ready": "claim", "commit": "finish"}
_CHARGES = {"claim": 1, "give_back": -1, "reap": -1}
_FORKING = 0.05
"""Seconds in which a thread or a child that is on its way when the stop comes still begins."""
_FENCED = {"finish", "fail", "give_back", "commit"}


@dataclass(slots=True)
class History:
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
    refused: set[TaskId] = field(default_factory=set)
    transactional: set[TaskId] = field(default_factory=set)
    canceled_pending: dict[TaskId, int] = field(default_factory=dict)
    holders: dict[RunKey, ConsumerId] = field(default_factory=dict)
    canceled_runs: set[RunKey] = field(default_factory=set)
    claimed_at: dict[RunKey, float] = field(default_factory=dict)
    processes: dict[ConsumerId, SimProcess] = field(default_factory=dict)
    incarnations: dict[str, SimProcess] = field(default_factory=dict)
    running: list[Execution] = field(default_factory=list)
    expiries: dict[ConsumerId, datetime] = field(default_factory=dict)
    lost_commits: set[RunKey] = field(default_factory=set)
    started: set[RunKey] = field(default_factory=set)
    raised: set[RunKey] = field(default_factory=set)
    poisoned_by: dict[ConsumerId | None, TaskId] = field(default_factory=dict)
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

    # Statements.

    def applied(self, call: Call) -> None:
        """PostgreSQL has just carried out a statement."""
        tasks = self.store.tables.tasks
        if call.name == "register":
            self.processes[call.args[0]] = self.incarnations[call.who.partition(".")[0]]
        elif call.name == "give_back":
            self._given_back(call)
        elif call.name == "beat":
            self._beaten(call.args[0])
        tokens = _tokens(call)
        for task_id, row in tasks.items():
            before, after = self.rows.get(task_id), Seen.of(row)
            if before != after:
                self.rows[task_id] = after
                if before is None:
                    self.tell(task_id, f"submitted ({call.who})")
                else:
                    self._changed(call, task_id, before, after, tokens.get(task_id))
        if len(self.rows) > len(tasks):
            for task_id in [task_id for task_id in self.rows if task_id not in tasks]:
                self.wrong("INV-1 durability", f"{self.name(task_id)} is gone after {call.name}")
                del self.rows[task_id]

    def _changed(self, call: Call, task_id: TaskId, before: Seen, after: Seen, token: int | None) -> None:
        verb, name = _VERBS.get(call.name, call.name), self.name(task_id)
        how = f"{call.name} by {call.who}: {before.status} -> {after.status}, token {before.token} -> {after.token}"
        self.tell(task_id, how)
        self.marks[f"{verb} -> {after.status}"] += 1
        if not allowed(verb, before.status, after.status):
            self.wrong("INV-8 illegal transition", f"{name} {how}")
        if after.token != before.token + 1:
            self.wrong("R2 token", f"{name} {how}")
        if call.name in _FENCED and token != before.token:
            self.wrong("INV-5 fence", f"{name} {how}, written under token {token}")
        if verb != "retry" and after.attempt != before.attempt + _CHARGES.get(verb, 0):
            self.wrong("INV-9 charge", f"{name} {how}, attempt {before.attempt} -> {after.attempt}")
        if call.name in _FENCED and not self.store.tables.alive(before.consumer):
            self.marks["outcome written after its lease"] += 1
        self._judge(verb, task_id, before, after)

    def _judge(self, verb: str, task_id: TaskId, before: Seen, after: Seen) -> None:
        """What is to be said of this verb in particular."""
        if verb == "claim":
            self._claimed(task_id, after)
        elif verb == "reap":
            self._reaped(task_id, before, after)
        elif verb == "cancel":
            self.canceled_runs.add((task_id, FencingToken(before.token)))
        elif verb == "fail":
            self._failed(task_id, before)

    def _beaten(self, consumer: ConsumerId) -> None:
        """Declared dead is for good (L1)."""
        row = self.store.tables.consumers.get(consumer)
        if row is None or not self.store.tables.alive(consumer):
            return
        if self.expiries.get(consumer, row.expires_at) <= self.store.now():
            self.wrong("L1 beat", "a consumer that had been declared dead lives again")
        self.expiries[consumer] = row.expires_at

    def _given_back(self, call: Call) -> None:
        """What the fenced give back says about a COMMIT whose answer was lost (R6)."""
        for write in call.args[0]:
            key = (write.id, write.token)
            if key in self.lost_commits and self.rows[write.id].token == write.token:
                self.marks["lost COMMIT: it had not taken place"] += 1
            elif key in self.lost_commits and self.rows[write.id].status is Status.COMPLETED:
                self.marks["lost COMMIT: it had taken place"] += 1

    def _claimed(self, task_id: TaskId, after: Seen) -> None:
        if after.consumer is not None:
            self.holders[task_id, FencingToken(after.token)] = after.consumer
            self.claimed_at[task_id, FencingToken(after.token)] = self.clock()
        if (task_id, FencingToken(after.token)) in self.started:
            self.wrong("INV-4", f"{self.name(task_id)} is claimed twice under token {after.token}")

    def _reaped(self, task_id: TaskId, before: Seen, after: Seen) -> None:
        """Only the dead are charged: not who is alive, and not who was cut off with everybody else."""
        name = self.name(task_id)
        if self.store.tables.alive(before.consumer):
            self.wrong("U2 reap", f"{name} is taken from a living consumer")
        if self.too_soon_to_judge():
            self.wrong(
                "U2 outage", f"{name} is taken back by one who was cut off himself less than a lease ago"
            )
        last = before.crashes + 1 >= POISONED_AFTER_CRASHES
        spared = last and after.status is Status.PENDING
        if after.crashes != before.crashes + (not spared):
            self.wrong("U2 crashes", f"{name} crashes {before.crashes} -> {after.crashes}")
        if spared:
            self.marks["reap spared what had not begun"] += 1
        if after.status is Status.FAILED:
            self.marks["poisoned"] += 1
            if not last:
                self.wrong("U2 poisoned", f"{name} after {after.crashes} crashes")
            other = self.poisoned_by.setdefault(before.consumer, task_id)
            if other != task_id:
                self.wrong("U2 neighbour", f"one death poisons {name} and {self.name(other)}")
        key = (task_id, FencingToken(before.token))
        if before.consumer is None or key not in self.started:
            return
        process = self.processes.get(before.consumer)
        if process is not None and process.blameless(before.consumer):
            self.wrong("U2 outage", f"{name} is charged with a crash for an outage of PostgreSQL")

    def _failed(self, task_id: TaskId, before: Seen) -> None:
        key = (task_id, FencingToken(before.token))
        timeout = self.store.tables.tasks[task_id].timeout
        if key not in self.raised and self.clock() - self.claimed_at.get(key, self.clock()) < timeout:
            self.wrong("uncharged", f"{self.name(task_id)} is charged for a try that did not fail")

    # What clients heard.

    def message(self, data: bytes) -> None:
        """On the channel of cancels or of delays; one that finds a newer run than it means came late (S3)."""
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
        if consumer is not None and not self.store.tables.alive(consumer) and not frozen:
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

        Or when its process is about to exit (C3), when it is a thread that nobody can stop (C2), or was canceled.
        """
        process = other.process
        return (
            process.dead
            or process.paused
            or process.was_frozen(max(other.started_at, self.clock() - process.stops_within))
            or process.drain_is_over
            or other.mode == "thread"
            or other.key in self.canceled_runs
        )

    def stopped(self, execution: Execution) -> None:
        """A handler was told to stop: if because its row was canceled or taken, then it was."""
        process, (task_id, token) = execution.process, execution.key
        row = self.store.tables.tasks.get(task_id)
        run = process.parts.running._runs.get(execution.key) if process.parts is not None else None
        if (
            row is not None
            and row.status == "processing"
            and row.fencing_token == token
            and run is not None
            and run.stop_reason is Stop.CANCELED
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

    def process_died(self, process: SimProcess) -> None:
        """Nothing of it runs any more."""
        self.running = [one for one in self.running if one.process is not process]

    # The end.

    def close(self, *, everything_ended: bool) -> None:
        """What must hold when it is over."""
        tasks = self.store.tables.tasks
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
        return [row.id for row in self.store.tables.tasks.values() if row.status not in TERMINAL]


def _tokens(call: Call) -> dict[TaskId, int]:
    """Under which token a fenced write was made, for each task."""
    if isinstance(call.args, Completion):  # a handler's own transaction
        return {call.args.id: call.args.token}
    if call.name in _FENCED:
        return {write.id: write.token for write in call.args[0]}
    return {}
