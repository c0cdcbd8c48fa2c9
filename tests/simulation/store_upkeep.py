"""sluice.db.upkeep.Upkeep on SimStore's tables, statement by statement. Adds no rule to those of db/sql."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import orjson

from sluice.core.task import POISONED_AFTER_CRASHES, TERMINAL, FencingToken, RunKey, TaskId
from sluice.db.rows import Place
from sluice.db.upkeep import DueRow, Ended, LastBeat, Old, Reaped, Turn
from tests.simulation.store_claims import poisoned
from tests.simulation.store_tables import DECLARED_DEAD, StepRow, Tables, TaskRow, by_place

_LONG_DEAD = timedelta(hours=1)


class SimUpkeep:
    """See db.upkeep.Upkeep."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def add_steps(self, steps: Sequence[str]) -> None:
        for step in steps:
            self._tables.steps.setdefault(step, StepRow(step, self._tables.now()))

    async def take_turn(self, step: str, period: timedelta) -> Turn | None:
        now, row = self._tables.now(), self._tables.steps.get(step)
        if row is None or now < row.next_run_at <= now + 2 * period:
            return None
        row.next_run_at = now + period
        return Turn(orjson.loads(row.cursor or "{}"), now)

    async def end_turn(self, step: str, cursor: dict[str, Any], again: timedelta | None = None) -> None:
        row = self._tables.steps.get(step)
        if row is None:
            return
        row.cursor = orjson.dumps(cursor).decode()
        if again is not None:
            row.next_run_at = min(row.next_run_at, self._tables.now() + again)

    async def due(self, after: Place, n: int) -> list[DueRow]:
        now = self._tables.now()
        rows = [
            row for row in self._delayed() if row.run_at <= now and by_place(row) > (after.run_at, after.id)
        ]
        return [
            DueRow(Place(row.run_at, row.id), row.queue, row.kind, row.priority)
            for row in sorted(rows, key=by_place)[:n]
        ]

    async def next_due_in(self) -> timedelta | None:
        now = self._tables.now()
        return min((row.run_at - now for row in self._delayed() if row.run_at > now), default=None)

    async def beats(self) -> list[LastBeat]:
        return [
            LastBeat(row.id, row.beat_at.isoformat(), row.lease_seconds)
            for row in self._tables.consumers.values()
            if not row.declared_dead
        ]

    async def declare_dead(self, silent: Sequence[LastBeat]) -> int:
        tables = self._tables
        dead = [
            row
            for beat in silent
            if (row := tables.consumers.get(beat.consumer)) is not None and row.beat_at.isoformat() == beat.at
        ]
        for row in dead:
            row.expires_at = DECLARED_DEAD
        return len(dead)

    async def dead_attempts(self, n: int) -> list[RunKey]:
        tables = self._tables
        return sorted(
            (row.id, FencingToken(row.fencing_token))
            for row in tables.tasks.values()
            if row.status == "processing"
            and (tables.broken.reap_the_living or tables.judged(row.consumer_id))
        )[:n]

    async def reap(self, dead: Sequence[RunKey], spread: timedelta) -> list[Reaped]:
        tables, now = self._tables, self._tables.now()
        broken = tables.broken
        found = {
            task_id: row
            for task_id, token in dead
            if (row := tables.tasks.get(task_id)) is not None
            and (row.fencing_token == token or broken.stale_reap)
            and not tables.locked(task_id)
        }
        reaped: list[Reaped] = []
        for row in found.values():
            whose = tables.consumers.get(row.consumer_id) if row.consumer_id is not None else None
            silent = None if whose is None else (now - whose.beat_at).total_seconds()
            consumer = row.consumer_id
            last = row.crashes + 1 >= POISONED_AFTER_CRASHES
            named = tables.named(row) or broken.unnamed_suspects_charged
            row.fencing_token += not broken.reap_no_token_step
            row.crashes += (named or not last) and not broken.crash_not_counted
            row.attempt = max(0, row.attempt - (not broken.reap_charged))
            row.run_at = now + tables.random.random() * spread
            row.updated_at = now
            if last and named and not broken.crash_not_counted:
                row.status, row.finished_at, row.error = "failed", now, poisoned(row.crashes, now)
            else:
                row.status, row.consumer_id, row.finished_at = "pending", None, None
            failed = row.status == "failed"
            host, pid = (None, None) if whose is None else (whose.host, whose.pid)
            reaped.append(Reaped(row.id, consumer, host, pid, silent, failed=failed))
        return reaped

    async def ended(self, age: timedelta, after: Ended, n: int) -> list[Old]:
        tables = self._tables
        found = sorted(
            (row.finished_at.isoformat(), row.id.int, row.id)
            for row in tables.tasks.values()
            if row.finished_at is not None and self._old(row, age)
        )
        begin = ("", 0) if after == Ended() else (after.finished_at, int(after.place))
        return [
            Old(task_id, Ended(at, str(place)), 0) for at, place, task_id in found if (at, place) > begin
        ][:n]

    async def prune(self, ids: Sequence[TaskId], age: timedelta) -> int:
        tables = self._tables
        old = {
            task_id
            for task_id in ids
            if task_id in tables.tasks
            and self._old(tables.tasks[task_id], age)
            and not tables.locked(task_id)
        }
        for task_id in old:
            del tables.tasks[task_id]
        return len(old)

    def _old(self, row: TaskRow, age: timedelta) -> bool:
        return (
            (row.status in TERMINAL or self._tables.broken.prune_unguarded)
            and row.finished_at is not None
            and row.finished_at < self._tables.now() - age
        )

    async def prune_consumers(self) -> int:
        tables = self._tables
        holding = {row.consumer_id for row in tables.tasks.values() if row.status == "processing"}
        dead = [
            row.id
            for row in tables.consumers.values()
            if row.declared_dead and row.beat_at < tables.now() - _LONG_DEAD and row.id not in holding
        ]
        for consumer in dead:
            del tables.consumers[consumer]
        return len(dead)

    def _pending(self) -> list[TaskRow]:
        return [row for row in self._tables.tasks.values() if row.status == "pending"]

    def _delayed(self) -> list[TaskRow]:
        return [row for row in self._pending() if row.run_at > row.created_at]
