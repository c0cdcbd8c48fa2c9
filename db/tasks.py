"""Changing tasks from the outside: submit, get, cancel, retry. Pushes nothing and tells nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import UUID, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from sluice.core.errors import TaskNotFound, TransitionRefused
from sluice.core.lifecycle import TRANSITIONS
from sluice.core.task import Status
from sluice.db.fetch import fetch
from sluice.db.models import TaskRow
from sluice.db.rows import COLUMNS, to_task
from sluice.db.statements import statement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncEngine

    from sluice.core.task import NewTask, Task, TaskId


GET = select(*COLUMNS).where(TaskRow.id == bindparam("id"))
GET_MANY = select(*COLUMNS).where(TaskRow.id == func.any(bindparam("ids", type_=ARRAY(UUID))))


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the database made of a submission that is now committed.

    `due`: nobody else will push its id (U3 promote).
    """

    created_at: datetime
    run_at: datetime
    due: bool


class Tasks:
    """The table `tasks`, as the API changes it, through async SQLAlchemy."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def submit(self, new: Sequence[NewTask]) -> dict[TaskId, Accepted]:
        """Insert all of them or none, one round trip; committed on return.

        An id that is there already is left as it is and still answered for (a second round trip), so a submission
        whose answer was lost is repeated as it stands (A1 commit). Raises RowRefused when one row is to blame.
        """
        rows = await fetch(
            self._engine,
            statement("submit"),
            ids=[task.id for task in new],
            kinds=[task.kind for task in new],
            queues=[task.queue for task in new],
            priorities=[task.priority for task in new],
            messages=[task.message for task in new],
            payloads=[task.payload for task in new],
            run_ats=[task.run_at for task in new],
            delays=[task.delay for task in new],
            max_attempts=[task.max_attempts for task in new],
            timeouts=[task.timeout for task in new],
        )
        accepted = {row["id"]: Accepted(row["created_at"], row["run_at"], row["due"]) for row in rows}
        if len(accepted) < len(new):
            missing = [task.id for task in new if task.id not in accepted]
            for row in await fetch(self._engine, GET_MANY, ids=missing):
                due = row["run_at"] == row["created_at"]
                accepted[row["id"]] = Accepted(row["created_at"], row["run_at"], due)
        return accepted

    async def get(self, task_id: TaskId) -> Task:
        """The task. Raises TaskNotFound."""
        rows = await fetch(self._engine, GET, id=task_id)
        if not rows:
            raise TaskNotFound(task_id)
        return to_task(rows[0])

    async def cancel(self, task_id: TaskId) -> tuple[Task, bool]:
        """Cancel the task; the row, and whether this call did it. `canceled_from` says which side won (C1 cancel).

        Raises TaskNotFound, and TransitionRefused when it had completed or failed.
        """
        return await self._move("cancel", task_id, Status.CANCELED)

    async def retry(self, task_id: TaskId) -> Task:
        """The task, pending with a fresh budget. Raises TaskNotFound, TransitionRefused unless failed or canceled."""
        task, _ = await self._move("retry", task_id, Status.PENDING)
        return task

    async def _move(self, verb: str, task_id: TaskId, wanted: Status) -> tuple[Task, bool]:
        """One conditional UPDATE; the row is read only to say why it changed nothing."""
        while True:
            rows = await fetch(self._engine, statement(verb), id=task_id)
            if rows:
                return to_task(rows[0]), True
            found = await self.get(task_id)
            if found.status is wanted is Status.CANCELED:
                return found, False
            if found.status in TRANSITIONS[verb].sources:
                continue  # it moved between the two statements: ask again
            raise TransitionRefused(task_id, found.status, wanted)
