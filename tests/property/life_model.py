"""What a task's life should be, on plain dicts: written from the rules in docs/guarantees.md, not from the statements.

A row is a dict of the columns that a life moves. Each verb takes one task and says what it did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tests.support.clocked import CHANCE, ORIGIN

Row = dict[str, Any]
Key = tuple[UUID, int]
ENDED = {"completed", "failed", "canceled"}


@dataclass(slots=True)
class Model:
    """`consumers`: when each has beaten last; `judged`: who was declared dead. `reached`: what happened at all."""

    now: datetime = ORIGIN
    tasks: dict[UUID, Row] = field(default_factory=dict)
    consumers: dict[UUID, datetime] = field(default_factory=dict)
    judged: set[UUID] = field(default_factory=set)
    suspects: dict[UUID, Key] = field(default_factory=dict)
    reached: set[str] = field(default_factory=set)

    def submit(self, task: UUID, delay: timedelta) -> bool:
        """Whether it is due. One that is there already stays as it is (A1 commit)."""
        row = self.tasks.setdefault(
            task,
            {
                **dict.fromkeys(
                    ("consumer_id", "started_at", "finished_at", "canceled_from", "result", "error")
                ),
                **dict.fromkeys(("fencing_token", "attempt", "crashes"), 0),
                **dict.fromkeys(("created_at", "updated_at"), self.now),
                "run_at": self.now + delay,
                "status": "pending",
            },
        )
        return bool(row["run_at"] == row["created_at"])

    def claim(self, task: UUID, me: UUID) -> tuple[int, int, int] | None:
        """Token, attempt and crashes of the new try (R1 gate)."""
        row = self.tasks.get(task)
        if row is None or not self._claimable(row):
            return None
        self._move(row, "processing", consumer_id=me, started_at=self.now, attempt=row["attempt"] + 1)
        return (row["fencing_token"], row["attempt"], row["crashes"])

    def claim_all(
        self, tasks: Sequence[UUID], me: UUID, *, suspects: bool
    ) -> list[tuple[int, int, int] | None]:
        """The same for one statement: what one more crash would poison stays, but for the first where it may begin."""
        one = self.due(suspected=True, among=tasks)[:suspects]
        stay = {task for task in self.due(suspected=True, among=tasks) if task not in one}
        if stay:
            self.reached.add("suspect left waiting")
        return [None if task in stay else self.claim(task, me) for task in tasks]

    def due(self, *, suspected: bool, among: Iterable[UUID] | None = None) -> list[UUID]:
        """What may be claimed, the first that fell due first."""
        tasks = self.tasks if among is None else self.tasks.keys() & set(among)
        rows = [(self.tasks[task]["run_at"], task) for task in tasks if self._claimable(self.tasks[task])]
        return [task for _, task in sorted(rows) if (self.tasks[task]["crashes"] >= 2) == suspected]

    def finish(self, key: Key, result: object) -> bool:
        """Whether the token was still the row's (R2 fence), as below."""
        return self._fenced(
            key, lambda row: self._move(row, "completed", result=result, error=None, finished_at=self.now)
        )

    def fail(self, key: Key, delay: timedelta | None) -> bool:
        if delay is None:
            return self._fenced(key, lambda row: self._move(row, "failed", error="E", finished_at=self.now))
        return self._fenced(
            key,
            lambda row: self._move(row, "pending", error="E", run_at=self.now + delay, consumer_id=None),
        )

    def give_back(self, key: Key, delay: timedelta) -> bool:
        def uncharged(row: Row) -> None:
            run_at = self.now + delay if delay else row["run_at"]
            self._move(row, "pending", run_at=run_at, consumer_id=None, attempt=row["attempt"] - 1)

        return self._fenced(key, uncharged)

    def reap(self, key: Key, spread: timedelta) -> bool:
        """The third crash is the last, for the one that its consumer had named (U2 reap)."""

        def uncharged(row: Row) -> None:
            named = self.suspects.get(row["consumer_id"]) == key
            crashes = row["crashes"] + (row["crashes"] < 2 or named)
            died = {"attempt": row["attempt"] - 1, "crashes": crashes, "run_at": self.now + CHANCE * spread}
            if crashes == 3:
                self.reached.add("poisoned")
                self._move(row, "failed", error="poisoned", finished_at=self.now, **died)
            else:
                self._move(row, "pending", consumer_id=None, **died)

        return self._fenced(key, uncharged)

    def cancel(self, task: UUID) -> str:
        """What came of it; `canceled_from` says which side won (C1 cancel)."""
        row = self.tasks.get(task)
        if row is None:
            return "TaskNotFound"
        if row["status"] in {"pending", "processing"}:
            self._move(row, "canceled", canceled_from=row["status"], finished_at=self.now)
            return "canceled"
        return "as it was" if row["status"] == "canceled" else "TransitionRefused"

    def retry(self, task: UUID) -> str:
        """By a person, with a fresh budget (C1 cancel)."""
        row = self.tasks.get(task)
        if row is None:
            return "TaskNotFound"
        if row["status"] not in {"failed", "canceled"}:
            return "TransitionRefused"
        fresh = dict.fromkeys(
            ("consumer_id", "started_at", "finished_at", "canceled_from", "result", "error")
        )
        self._move(row, "pending", run_at=self.now, attempt=0, crashes=0, **fresh)
        return "pending"

    def prune(self, age: timedelta) -> int:
        old = [
            task
            for task, row in self.tasks.items()
            if row["status"] in ENDED and row["finished_at"] < self.now - age
        ]
        for task in old:
            self.reached.add("pruned")
            del self.tasks[task]
        return len(old)

    def register(self, me: UUID) -> None:
        """Registering again revives nobody (L1 rows)."""
        self.consumers.setdefault(me, self.now)

    def beat(self, me: UUID) -> bool:
        """However late by the database's clock: it dies by a judgement alone."""
        if not self.alive(me):
            self.reached |= {"beat of the dead"} if me in self.consumers else set()
            return False
        self.consumers[me] = self.now
        return True

    def judge(self, me: UUID, beaten_at: datetime) -> bool:
        """Whether it is declared dead, by one who saw it beat then for the last time (U2 reap)."""
        if not self.alive(me) or self.consumers[me] != beaten_at:
            return False
        self.judged.add(me)
        return True

    def name_suspect(self, me: UUID, run: Key) -> bool:
        if not self.alive(me):
            return False
        self.suspects[me] = run
        return True

    def alive(self, me: UUID) -> bool:
        return me in self.consumers and me not in self.judged

    def dead_attempts(self) -> list[Key]:
        """The tries of those who were declared dead or are absent (U2 reap)."""
        return sorted(
            (task, row["fencing_token"])
            for task, row in self.tasks.items()
            if row["status"] == "processing" and not self.alive(row["consumer_id"])
        )

    def _claimable(self, row: Row) -> bool:
        return bool(row["status"] == "pending" and row["run_at"] <= self.now)

    def _fenced(self, key: Key, change: Callable[[Row], None]) -> bool:
        row = self.tasks.get(key[0])
        if row is None or row["fencing_token"] != key[1]:
            self.reached.add("fenced")
            return False
        change(row)
        return True

    def _move(self, row: Row, status: str, **columns: object) -> None:
        """Every change of status is a step of the token (R2 fence)."""
        self.reached.add(f"{row['status']} -> {status}")
        row.update(columns, status=status, updated_at=self.now, fencing_token=row["fencing_token"] + 1)
