"""From committed rows to hints: pushes what is due, tells about what is delayed. A failure fails nobody (U4)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Protocol

from core.clock import boottime
from core.errors import StoreUnavailable
from core.events import PublishFailed

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping, Sequence
    from datetime import timedelta

    from core.clock import Clock
    from core.events import Report
    from core.task import ReadyList, TaskId
    from db.claims import Pending

_REST_SECONDS = 0.5


class Pushes(Protocol):
    """What the publisher needs of the ready lists."""

    def push(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> Coroutine[None, None, None]: ...
    def push_oldest(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> Coroutine[None, None, None]: ...


class TellsDelay(Protocol):
    """What the publisher needs of the signals."""

    def tell_delayed(self, due_in: timedelta) -> Coroutine[None, None, None]: ...


class Publisher:
    """Whoever commits a pending row hands it here. Without Redis (both None) it does nothing."""

    def __init__(
        self,
        ready: Pushes | None,
        signals: TellsDelay | None,
        report: Report,
        clock: Clock = boottime,
    ) -> None:
        self._ready = ready
        self._signals = signals
        self._report = report
        self._clock = clock
        self._rests_until = float("-inf")

    async def publish(self, new: Mapping[ReadyList, Sequence[TaskId]]) -> bool:
        """Push ids to the new end; whether Redis took them. When not, republish will find their rows."""
        if self._ready is None:
            return False
        return await self._try(self._ready.push(new), sum(map(len, new.values())))

    async def publish_again(self, pending: Iterable[Pending]) -> None:
        """Rows that a write made pending: the due ones to the old end, where they were; of the others tell when."""
        if self._ready is None:
            return
        due: dict[ReadyList, list[TaskId]] = defaultdict(list)
        delays: list[timedelta] = []
        for row in pending:
            if row.due:
                due[row.list].append(row.id)
            else:
                delays.append(row.due_in)
        if due:
            await self._try(self._ready.push_oldest(due), sum(map(len, due.values())))
        if delays:
            await self.tell_delayed(min(delays))

    async def tell_delayed(self, due_in: timedelta) -> None:
        """Wake promote when this row is due before it would look again."""
        if self._signals is not None:
            await self._try(self._signals.tell_delayed(due_in), 1)

    async def _try(self, push: Coroutine[None, None, None], n: int) -> bool:
        """Whether Redis took it. After a failure it is left alone for a moment.

        A Redis that hangs would otherwise hold up whoever writes outcomes, once for every batch.
        """
        if self._clock() < self._rests_until:
            push.close()
            self._report(PublishFailed(n, reason="Redis did not answer a moment ago"))
            return False
        try:
            await push
        except StoreUnavailable as away:
            self._rests_until = self._clock() + _REST_SECONDS
            self._report(PublishFailed(n, reason=away.reason))
            return False
        return True
