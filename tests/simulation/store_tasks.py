"""sluice.db.tasks.Tasks, and what of db.browse.Browse counts, on SimStore's tables. Adds no rule to those of db/sql."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sluice.core.errors import RowRefused, TaskNotFound, TransitionRefused
from sluice.core.task import Kind, NewTask, QueueName, Status, Task, TaskId
from sluice.db.browse import DEPTH_CAP, Depth, LiveConsumer, Served
from sluice.db.tasks import Accepted
from tests.simulation.store_claims import refuse_other_than_json
from tests.simulation.store_tables import Tables, TaskRow


class SimTasks:
    """See db.tasks.Tasks."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def submit(self, new: Sequence[NewTask]) -> dict[TaskId, Accepted]:
        tables, now = self._tables, self._tables.now()
        rows: dict[TaskId, TaskRow] = {}
        for task in new:
            row = _row(task, now)
            if task.id not in tables.tasks:
                rows.setdefault(task.id, row)
        tables.tasks.update(rows)
        accepted = {row.id: Accepted(now, row.run_at, row.run_at <= now) for row in rows.values()}
        for task in new:
            if task.id not in accepted:
                there = tables.tasks[task.id]
                accepted[task.id] = Accepted(
                    there.created_at, there.run_at, due=there.run_at == there.created_at
                )
        return accepted

    async def get(self, task_id: TaskId) -> Task:
        return to_task(self._found(task_id))

    async def cancel(self, task_id: TaskId) -> tuple[Task, bool]:
        tables, now = self._tables, self._tables.now()
        await tables.wait_for([task_id])
        row = self._found(task_id)
        if row.status == "canceled":
            return to_task(row), False
        if row.status not in {"pending", "processing"} and not tables.broken.cancel_unguarded:
            raise TransitionRefused(task_id, Status(row.status), Status.CANCELED)
        row.canceled_from = "pending" if row.status == "pending" else "processing"
        row.status, row.finished_at, row.updated_at = "canceled", now, now
        row.fencing_token += not tables.broken.cancel_no_token_step
        return to_task(row), True

    async def retry(self, task_id: TaskId) -> Task:
        tables, now = self._tables, self._tables.now()
        await tables.wait_for([task_id])
        row = self._found(task_id)
        if row.status not in {"failed", "canceled"}:
            raise TransitionRefused(task_id, Status(row.status), Status.PENDING)
        row.status, row.run_at, row.updated_at = "pending", now, now
        row.fencing_token += 1
        row.attempt = row.crashes = 0
        row.consumer_id = row.started_at = row.finished_at = None
        row.canceled_from = row.result = row.error = None
        return to_task(row)

    def _found(self, task_id: TaskId) -> TaskRow:
        row = self._tables.tasks.get(task_id)
        if row is None:
            raise TaskNotFound(task_id)
        return row


class SimBrowse:
    """See db.browse.Browse; pages are left to the real one."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def kinds(self) -> dict[Kind, Served]:
        return {
            row.kind: Served(
                row.kind,
                None if row.payload_schema is None else json.loads(row.payload_schema),
                row.max_attempts,
                row.timeout,
            )
            for row in self._tables.kinds.values()
        }

    async def consumers(self) -> list[LiveConsumer]:
        living = [row for row in self._tables.consumers.values() if self._tables.alive(row.id)]
        return [
            LiveConsumer(
                id=row.id,
                host=row.host,
                pid=row.pid,
                queues=list(row.queues),
                kinds=list(row.kinds),
                unnamed_kinds=0,
                running=row.running,
                capacity=row.capacity,
                beat_at=row.beat_at,
            )
            for row in sorted(living, key=lambda row: (row.started_at, row.id))
        ]

    async def queues(self, after: str, n: int) -> list[QueueName]:
        return sorted({name for name in self._waiting() if name > after})[:n]

    async def waiting_kinds(
        self, queues: Sequence[QueueName], afters: Sequence[str], n: int
    ) -> list[tuple[QueueName, Kind]]:
        rows = [row for row in self._tables.tasks.values() if row.status == "pending"]
        return [
            (queue, kind)
            for queue, after in zip(queues, afters, strict=True)
            for kind in sorted({row.kind for row in rows if row.queue == queue and row.kind > after})
        ][:n]

    async def depths(self, queues: Sequence[QueueName]) -> dict[QueueName, Depth]:
        waiting, now = self._waiting(), self._tables.now()
        return {name: Depth(min(DEPTH_CAP, waiting.count(name)), now) for name in queues}

    def _waiting(self) -> list[QueueName]:
        return [row.queue for row in self._tables.tasks.values() if row.status == "pending"]


def to_task(row: TaskRow) -> Task:
    """The value of a row."""
    values: dict[str, Any] = asdict(row)
    values["status"] = Status(row.status)
    values["canceled_from"] = None if row.canceled_from is None else Status(row.canceled_from)
    for name in ("payload", "result", "error"):
        if values[name] is not None:
            values[name] = json.loads(values[name])
    return Task(**values)


def _row(task: NewTask, now: datetime) -> TaskRow:
    """Raises RowRefused for values that PostgreSQL refuses."""
    if "\0" in (task.message or "") + task.kind + task.queue + task.payload:
        raise RowRefused("22021", 'invalid byte sequence for encoding "UTF8": 0x00')
    refuse_other_than_json(task.payload)
    run_at = task.run_at
    if run_at is None:
        run_at = now if task.delay is None else now + timedelta(seconds=task.delay)
    return TaskRow(
        id=task.id,
        kind=task.kind,
        queue=task.queue,
        priority=task.priority,
        message=task.message,
        payload=task.payload,
        created_at=now,
        updated_at=now,
        run_at=max(now, run_at),
        max_attempts=task.max_attempts,
        timeout=task.timeout,
    )
