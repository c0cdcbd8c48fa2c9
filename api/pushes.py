"""Pushes the ids of committed rows, after the answer: nobody waits for Redis. Touches no row and retries no push.

One push at a time, of everything that gathered meanwhile. After a failure it rests for a moment, so that a Redis that
hangs or is away costs one try a second and not one a request. What is dropped, republish will find (U4).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from core.events import PublishFailed
from core.task import ReadyList

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.events import Report
    from core.task import NewTask, Task, TaskId
    from db.tasks import Accepted

MOST_IDS_WAITING = 50_000
"""Several of the largest batches, committed while one push is on its way."""
REST_SECONDS = 1.0


class Publishes(Protocol):
    """What is needed of the publisher."""

    async def publish(self, new: Mapping[ReadyList, Sequence[TaskId]]) -> bool: ...
    async def tell_delayed(self, due_in: timedelta) -> None: ...


class Pushes:
    """Ids on their way to Redis. `publisher` None: there is no Redis, and nothing is kept."""

    def __init__(self, publisher: Publishes | None, *, report: Report) -> None:
        self._publisher = publisher
        self._report = report
        self._due: dict[ReadyList, list[TaskId]] = defaultdict(list)
        self._waiting = 0
        self._dropped = 0
        self._soonest: timedelta | None = None
        self._bell = asyncio.Event()
        self._closing = asyncio.Event()

    def submitted(self, new: Sequence[NewTask], accepted: Mapping[TaskId, Accepted]) -> None:
        """Rows that were just committed: the due ones are pushed, of the others it is told when."""
        for task in new:
            row = accepted[task.id]
            if row.due:
                self._add(ReadyList(task.queue, task.priority), task.id)
            else:
                due_in = row.run_at - row.created_at
                self._soonest = due_in if self._soonest is None else min(self._soonest, due_in)
        self._bell.set()

    def retried(self, task: Task) -> None:
        """A row that a person just made pending again: it is due."""
        self._add(ReadyList(task.queue, task.priority), task.id)
        self._bell.set()

    def close(self) -> None:
        """Let `run` end after one last try for what waits."""
        self._closing.set()
        self._bell.set()

    async def run(self) -> None:
        """Push what waits until closed. A try is bounded by the publisher's own limits."""
        while self._publisher is not None:
            self._bell.clear()
            took = await self._push(self._publisher)
            if self._closing.is_set() and (self._waiting == 0 or not took):
                return
            if took:
                await self._bell.wait()
            else:
                await self._rest()

    def _add(self, ready: ReadyList, task_id: TaskId) -> None:
        if self._publisher is None:
            return
        if self._waiting >= MOST_IDS_WAITING:
            self._dropped += 1
            return
        self._due[ready].append(task_id)
        self._waiting += 1

    async def _push(self, publisher: Publishes) -> bool:
        due, self._due, self._waiting = self._due, defaultdict(list), 0
        soonest, self._soonest = self._soonest, None
        if self._dropped:
            self._report(PublishFailed(self._dropped, reason="more ids waited for Redis than are kept"))
            self._dropped = 0
        took = await publisher.publish(due) if due else True
        if soonest is not None and took:
            await publisher.tell_delayed(soonest)
        return took

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(REST_SECONDS):
                await self._closing.wait()
        except TimeoutError:
            return
