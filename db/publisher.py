"""From committed rows to hints: pushes what is due, tells about what is delayed. A failure fails nobody (U4)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Protocol

from core.errors import StoreUnavailable
from core.events import PublishFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta

    from core.events import Report
    from core.task import ReadyList, TaskId
    from db.claims import Pending


class Pushes(Protocol):
    """What the publisher needs of the ready lists."""

    async def push(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> None: ...
    async def push_oldest(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> None: ...


class TellsDelay(Protocol):
    """What the publisher needs of the signals."""

    async def tell_delayed(self, due_in: timedelta) -> None: ...


class Publisher:
    """Whoever commits a pending row hands it here. Without Redis (both None) it does nothing."""

    def __init__(self, ready: Pushes | None, signals: TellsDelay | None, report: Report) -> None:
        self._ready = ready
        self._signals = signals
        self._report = report

    async def publish(self, new: Mapping[ReadyList, Sequence[TaskId]]) -> bool:
        """Push ids to the new end; whether Redis took them. When not, republish will find their rows."""
        if self._ready is None:
            return False
        try:
            await self._ready.push(new)
        except StoreUnavailable as away:
            self._report(PublishFailed(sum(map(len, new.values())), reason=away.reason))
            return False
        return True

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
        try:
            if due:
                await self._ready.push_oldest(due)
        except StoreUnavailable as away:
            self._report(PublishFailed(sum(map(len, due.values())), reason=away.reason))
        if delays:
            await self.tell_delayed(min(delays))

    async def tell_delayed(self, due_in: timedelta) -> None:
        """Wake promote when this row is due before it would look again."""
        if self._signals is None:
            return
        try:
            await self._signals.tell_delayed(due_in)
        except StoreUnavailable as away:
            self._report(PublishFailed(1, reason=away.reason))
