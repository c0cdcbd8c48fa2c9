"""The checker of statements: it compares rows before and after each one.

It rests on what the store holds and not on how it got there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluice.consumer.runs.uncharged import FREE
from sluice.core.outcome import Completion
from sluice.core.task import POISONED_AFTER_CRASHES, ConsumerId, FencingToken, Status, TaskId
from tests.simulation.observed import Seen
from tests.simulation.record import Record
from tests.simulation.store_tables import LOCK_TIMEOUT
from tests.support.transitions import allowed

if TYPE_CHECKING:
    from tests.simulation.ports import Call

_VERBS = {"claim_ready": "claim", "commit": "finish"}
_CHARGES = {"claim": 1, "give_back": -1, "reap": -1}
HELD_UP = LOCK_TIMEOUT + 2.0
"""Seconds after which an outcome has waited for more than one lock that was given up."""
_FENCED = {"finish", "fail", "give_back", "commit"}


class Statements(Record):
    """What each statement did to the rows, and whether it was allowed to."""

    __slots__ = ()

    def applied(self, call: Call) -> None:
        """PostgreSQL has just carried out a statement."""
        tasks = self.store.tables.tasks
        self._heard(call)
        tokens = _tokens(call)
        suspects = 0
        for task_id, row in tasks.items():
            before, after = self.rows.get(task_id), Seen.of(row)
            if before != after:
                self.rows[task_id] = after
                if before is None:
                    self.tell(task_id, f"submitted ({call.who})")
                else:
                    self._changed(call, task_id, before, after, tokens.get(task_id))
                    suspects += row.suspected and after.status is Status.PROCESSING
        if suspects > 1:
            self.wrong("U2 suspects", f"{suspects} suspects are claimed at once")
        if len(self.rows) > len(tasks):
            for task_id in [task_id for task_id in self.rows if task_id not in tasks]:
                self.wrong("INV-1 durability", f"{self.name(task_id)} is gone after {call.name}")
                del self.rows[task_id]

    def _heard(self, call: Call) -> None:
        """What this statement says by itself, whichever rows it changed."""
        if call.name == "register":
            self.processes[call.args[0]] = self.incarnations[call.who.partition(".")[0]]
            self.beats[call.args[0]] = self.clock()
        elif call.name == "give_back":
            self._given_back(call)
        elif call.name == "beat":
            self._beaten(call.args[0])
        elif call.name == "declare_dead":
            self._declared(call)
        elif call.name == "claim":
            self._left_waiting(call)

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
        if verb in {"finish", "fail"}:
            self._written(task_id, before)

    def _beaten(self, consumer: ConsumerId) -> None:
        """Declared dead is for good (L1 rows)."""
        row = self.store.tables.consumers.get(consumer)
        if row is None or row.declared_dead:
            return
        if consumer in self.declared:
            self.wrong("L1 beat", "a consumer that had been declared dead lives again")
        self.beats[consumer] = self.clock()

    def _declared(self, call: Call) -> None:
        """Only who was silent for its whole lease is declared dead (U2 reap)."""
        for beat in call.args[0]:
            row = self.store.tables.consumers.get(beat.consumer)
            if row is None or not row.declared_dead or beat.consumer in self.declared:
                continue
            self.declared.add(beat.consumer)
            self.marks["declared dead"] += 1
            if self.clock() - self.beats.get(beat.consumer, float("-inf")) < row.lease_seconds:
                self.wrong("U2 silence", "a consumer is declared dead while its lease runs")

    def _runs_still(self, consumer: ConsumerId | None) -> bool:
        """Whether its lease has not run out since its last beat, whatever the database's clock says."""
        row = self.store.tables.consumers.get(consumer) if consumer is not None else None
        return row is not None and self.clock() - self.beats.get(row.id, float("-inf")) < row.lease_seconds

    def _given_back(self, call: Call) -> None:
        """What the fenced give back says about a COMMIT whose answer was lost (R6 session)."""
        for write in call.args[0]:
            key = (write.id, write.token)
            if key in self.lost_commits and self.rows[write.id].token == write.token:
                self.marks["lost COMMIT: it had not taken place"] += 1
            elif key in self.lost_commits and self.rows[write.id].status is Status.COMPLETED:
                self.marks["lost COMMIT: it had taken place"] += 1

    def _left_waiting(self, call: Call) -> None:
        """A claim found a suspect, and left it as it was (U2 reap)."""
        rows = [row for task_id in call.args[0] if (row := self.store.tables.tasks.get(task_id)) is not None]
        self.marks["suspect left waiting"] += any(row.suspected and row.status == "pending" for row in rows)

    def _claimed(self, task_id: TaskId, after: Seen) -> None:
        if after.consumer is not None:
            self.holders[task_id, FencingToken(after.token)] = after.consumer
            self.claimed_at[task_id, FencingToken(after.token)] = self.clock()
        if (task_id, FencingToken(after.token)) in self.started:
            self.wrong("INV-4", f"{self.name(task_id)} is claimed twice under token {after.token}")

    def _reaped(self, task_id: TaskId, before: Seen, after: Seen) -> None:
        """Only the dead are charged: not who is alive, and not who was cut off with everybody else."""
        name = self.name(task_id)
        if self.store.tables.alive(before.consumer) or self._runs_still(before.consumer):
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
            self._poisoned(task_id, before, after)
        key = (task_id, FencingToken(before.token))
        if before.consumer is None or key not in self.started:
            return
        process = self.processes.get(before.consumer)
        if process is not None and process.blameless(before.consumer):
            self.wrong("U2 outage", f"{name} is charged with a crash for an outage or a clock")

    def _poisoned(self, task_id: TaskId, before: Seen, after: Seen) -> None:
        """By its third crash, which was charged to nothing else, and after its consumer had named this run."""
        name = self.name(task_id)
        self.marks["poisoned"] += 1
        if after.crashes < POISONED_AFTER_CRASHES:
            self.wrong("U2 poisoned", f"{name} after {after.crashes} crashes")
        if not self._was_named(task_id, before):
            self.wrong("U2 unnamed", f"{name} is poisoned before it had begun")
        other = self.poisoned_by.setdefault(before.consumer, task_id)
        if other != task_id:
            self.wrong("U2 neighbour", f"one death poisons {name} and {self.name(other)}")

    def _was_named(self, task_id: TaskId, before: Seen) -> bool:
        """Whether its consumer had written down this run."""
        row = self.store.tables.consumers.get(before.consumer) if before.consumer is not None else None
        return row is not None and (row.suspect_id, row.suspect_token) == (task_id, before.token)

    def _written(self, task_id: TaskId, before: Seen) -> None:
        """An outcome: one row that somebody keeps holds up no other."""
        since = self.ended.get((task_id, FencingToken(before.token)), self.clock())
        process = self.processes.get(before.consumer) if before.consumer is not None else None
        if self.clock() - since <= HELD_UP or process is None or process.was_frozen(since):
            return
        if self.neighbours_wait(task_id, since):
            late = f"{self.clock() - since:.1f} s after its end"
            self.wrong("R5 neighbour", f"{self.name(task_id)} is written {late}: another row is locked")

    def _failed(self, task_id: TaskId, before: Seen) -> None:
        key = (task_id, FencingToken(before.token))
        if sum(task == task_id for task, _ in self.lost_commits) > FREE:
            return
        timeout = self.store.tables.tasks[task_id].timeout
        if key not in self.raised and self.clock() - self.claimed_at.get(key, self.clock()) < timeout:
            self.wrong("uncharged", f"{self.name(task_id)} is charged for a try that did not fail")


def _tokens(call: Call) -> dict[TaskId, int]:
    """Under which token a fenced write was made, for each task."""
    if isinstance(call.args, Completion):  # a handler's own transaction
        return {call.args.id: call.args.token}
    if call.name in _FENCED:
        return {write.id: write.token for write in call.args[0]}
    return {}
