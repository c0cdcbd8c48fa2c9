"""From committed rows to hints: pushes what is due, and keeps what is due in a moment until then. Changes no row.

Nobody waits for Redis here. One push is on its way at a time, of everything that gathered meanwhile. After a failure it
rests, so that a Redis that hangs or refuses costs one try a second. What is dropped, scans find (U4 scan).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import timedelta
from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sluice.core.errors import StoreUnavailable
from sluice.core.events import PublishFailed
from sluice.core.waiting import EARLY, is_set

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping, Sequence

    from sluice.core.audience import Audiences
    from sluice.core.events import Report
    from sluice.core.task import Kind, NewTask, QueueName, ReadyList, Task, TaskId
    from sluice.db.claims import Pending
    from sluice.db.tasks import Accepted

MOST_WAITING = 50_000
"""Several of the largest batches, committed while one push is on its way."""
SOON = timedelta(seconds=1)
"""A row that is due later than this is in promote's hands (U3 promote): it looks so often."""
_REST_SECONDS = 1.0


class Pushes(Protocol):
    """What is needed of the ready lists."""

    def push(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> Coroutine[None, None, None]: ...
    def push_oldest(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> Coroutine[None, None, None]: ...


class KnowsAudiences(Protocol):
    """Who knows which consumers are alive."""

    @property
    def audiences(self) -> Audiences: ...


class _Later(NamedTuple):
    due_at: float
    id: TaskId
    queue: QueueName
    kind: Kind
    priority: int


class Publisher:
    """Whoever commits a pending row hands it here; `run` pushes. Without Redis (`ready` None) nothing is kept.

    A row that nobody alive serves has no audience and is not pushed: the first scan of whoever comes finds it. The
    roster is told, for the log.
    """

    def __init__(self, ready: Pushes | None, roster: KnowsAudiences, *, report: Report) -> None:
        self._ready = ready
        self._roster = roster
        self._report = report
        self._new: dict[ReadyList, list[TaskId]] = defaultdict(list)
        self._old: dict[ReadyList, list[TaskId]] = defaultdict(list)
        self._later: list[_Later] = []
        self._waiting = 0
        self._dropped = 0
        self._bell = asyncio.Event()
        self._closing = asyncio.Event()

    def submitted(self, new: Sequence[NewTask], accepted: Mapping[TaskId, Accepted]) -> None:
        """Rows that were just committed."""
        audiences = self._roster.audiences
        for task in new:
            row = accepted[task.id]
            if row.due:
                self._put(self._new, audiences.list_of(task.queue, task.kind, task.priority), task)
            else:
                self._keep(row.run_at - row.created_at, task.id, task.queue, task.kind, task.priority)
        self._bell.set()

    def retried(self, task: Task) -> None:
        """A row that a person just made pending again: it is due."""
        self._put(self._new, self._roster.audiences.list_of(task.queue, task.kind, task.priority), task)
        self._bell.set()

    def again(self, pending: Iterable[Pending]) -> None:
        """Rows that a write of a consumer made pending: the due ones go to the old end, where they were."""
        audiences = self._roster.audiences
        for row in pending:
            if row.due:
                self._put(self._old, audiences.list_of(row.queue, row.kind, row.priority), row)
            else:
                self._keep(row.due_in, row.id, row.queue, row.kind, row.priority)
        self._bell.set()

    def close(self) -> None:
        """Let `run` end after one last try for what is due."""
        self._closing.set()
        self._bell.set()

    async def run(self) -> None:
        """Push what waits until closed; the lists bound each try. Safe to cancel: hints may be lost."""
        while self._ready is not None:
            self._bell.clear()
            self._take_due()
            took = await self._push(self._ready)
            if self._closing.is_set() and (not took or not (self._new or self._old)):
                return
            if took:
                await is_set(self._bell, self._pause())
            else:
                await is_set(self._closing, _REST_SECONDS)

    def _put(
        self,
        end: dict[ReadyList, list[TaskId]],
        ready: ReadyList | None,
        row: NewTask | Task | Pending | _Later,
    ) -> None:
        if ready is None:
            self._roster.audiences.unserved.miss(row.queue, row.kind)
            return
        if self._ready is None:
            return
        if self._waiting >= MOST_WAITING:
            self._dropped += 1
            return
        end[ready].append(row.id)
        self._waiting += 1

    def _keep(self, due_in: timedelta, task_id: TaskId, queue: QueueName, kind: Kind, priority: int) -> None:
        """Keep it until it is due, counted from now: a push before its time would be a hint lost."""
        if due_in > SOON or self._ready is None:
            return
        if len(self._later) >= MOST_WAITING:
            self._dropped += 1
            return
        heappush(self._later, _Later(_now() + due_in.total_seconds() + EARLY, task_id, queue, kind, priority))

    def _take_due(self) -> None:
        now, audiences = _now(), self._roster.audiences
        while self._later and self._later[0].due_at <= now:
            row = heappop(self._later)
            self._put(self._new, audiences.list_of(row.queue, row.kind, row.priority), row)

    def _pause(self) -> float | None:
        return max(0.0, self._later[0].due_at - _now()) if self._later else None

    async def _push(self, ready: Pushes) -> bool:
        """Whether Redis took all that was there. What it did not take is dropped."""
        new, self._new = self._new, defaultdict(list)
        old, self._old = self._old, defaultdict(list)
        self._waiting = 0
        if self._dropped:
            self._report(PublishFailed(self._dropped, reason="more ids waited for Redis than are kept"))
            self._dropped = 0
        for ids, push in ((new, ready.push), (old, ready.push_oldest)):
            if not ids:
                continue
            try:
                await push(ids)
            except StoreUnavailable as away:
                self._report(PublishFailed(sum(map(len, ids.values())), reason=away.reason))
                return False
        return True


def _now() -> float:
    return asyncio.get_running_loop().time()
