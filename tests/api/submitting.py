"""Group commit with a store of a few lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from sluice.api.submit.submissions import MOST_ROWS_WAITING, Submissions
from sluice.core.events import Event
from sluice.core.ids import new_task_id
from sluice.core.task import Kind, NewTask, TaskId
from sluice.db.tasks import Accepted

AT = datetime(2026, 11, 22, tzinfo=UTC)


def task(message: str = "", **values: object) -> NewTask:
    return NewTask(id=new_task_id(), kind=Kind("echo"), message=message, **values)  # type: ignore[arg-type]


class Store:
    """Commits what it is given, unless `act` says otherwise; `statements` has the messages of each."""

    def __init__(self) -> None:
        self.statements: list[list[str | None]] = []
        self.act: Callable[[Sequence[NewTask]], object] = lambda _: None
        self.gate = asyncio.Event()
        self.gate.set()

    async def submit(self, new: Sequence[NewTask]) -> Mapping[TaskId, Accepted]:
        self.statements.append([row.message for row in new])
        await self.gate.wait()
        self.act(new)
        return {row.id: Accepted(AT, AT, due=True) for row in new}


class Desk:
    """Submissions with one flusher, and what they handed over."""

    def __init__(self, most_rows: int) -> None:
        self.store = Store()
        self.events: list[Event] = []
        self.handed_over: list[str | None] = []
        self.submissions = Submissions(
            self.store, hand_over=self._take, report=self.events.append, most_rows=most_rows
        )

    def _take(self, new: Sequence[NewTask], accepted: Mapping[TaskId, Accepted]) -> None:
        assert all(row.id in accepted for row in new)
        self.handed_over += [row.message for row in new]

    async def submit(self, *messages: str, seconds: float = 5.0) -> Mapping[TaskId, Accepted]:
        return await self.submissions.submit([task(message) for message in messages], seconds=seconds)


@asynccontextmanager
async def desk(*, most_rows: int = MOST_ROWS_WAITING) -> AsyncIterator[Desk]:
    made = Desk(most_rows)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(made.submissions.run())
        yield made
        made.submissions.close()


async def settled() -> None:
    """Let everything that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def outcome(work: object) -> Exception | None:
    """What it raised, None when it succeeded."""
    try:
        await work  # type: ignore[misc]
    except Exception as error:  # noqa: BLE001 - the tests look at all of them
        return error
    return None
