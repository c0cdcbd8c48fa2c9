"""Writing outcomes: self-clocking, fenced, and kept until they are written (R5 outcomes). Runs no handler.

It flushes at once when no flush is in flight, and gathers only while one is: no delay when idle, large batches under
load, no timer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol, assert_never, cast

from sluice.consumer.outage import Outage
from sluice.consumer.runs.locked import LockedRows
from sluice.consumer.runs.refused import instead_of
from sluice.core.errors import Hindered, RowRefused, StoreUnavailable
from sluice.core.events import Fenced, Finished, OutcomeRefused, RowsLocked
from sluice.core.halving import halves
from sluice.core.outcome import Completion, Failing, Return, storable
from sluice.db.claims import Written

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sluice.consumer.pulse import Pulse
    from sluice.core.events import Report
    from sluice.core.outcome import Write
    from sluice.core.task import RunKey, TaskId
    from sluice.core.waiting import Bell
    from sluice.db.claims import Pending

_BATCH = 1000
_BATCH_BYTES = 8 << 20
_FIRST_PAUSE = 0.025
_LONGEST_PAUSE = 1.0


class WritesOutcomes(Protocol):
    """What completing needs of the store."""

    async def finish(self, done: Sequence[Completion]) -> Written: ...
    async def fail(self, lost: Sequence[Failing]) -> Written: ...
    async def give_back(self, back: Sequence[Return]) -> Written: ...
    async def locked_among(self, ids: Sequence[TaskId]) -> set[TaskId]: ...


class HearsOfRoom(Protocol):
    """Who waits for outcomes to be written before it takes more in."""

    def freed(self) -> None: ...


class PublishesAgain(Protocol):
    """Where rows go that a write made pending."""

    def again(self, pending: Iterable[Pending]) -> None: ...


class Complete:
    """Outcomes on their way to their rows. While it is `full`, nothing is claimed."""

    def __init__(
        self,
        *,
        store: WritesOutcomes,
        publisher: PublishesAgain,
        report: Report,
        bell: Bell,
        capacity: HearsOfRoom,
        high_mark: int,
        pulse: Pulse | None = None,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._report = report
        self._outage = Outage("complete", report, pulse)
        self._bell = bell
        self._high_mark = high_mark
        self._capacity = capacity
        self._waiting: deque[Write] = deque()
        self._groups: deque[list[Write]] = deque()
        self._locked = LockedRows()
        self._closing = False
        self._written = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many outcomes are not known to be written."""
        return len(self._waiting) + sum(map(len, self._groups)) + len(self._locked)

    @property
    def locked(self) -> int:
        """How many of them wait for rows that somebody else holds locked."""
        return len(self._locked)

    @property
    def ended(self) -> bool:
        """Whether nothing will be written any more: it was closed, and all that it had is written."""
        return self._written.is_set()

    @property
    def full(self) -> bool:
        """Whether claims must wait for the writing to catch up."""
        return self.waiting >= self._high_mark

    def keys(self) -> set[RunKey]:
        """Return the runs whose outcome is being written."""
        writing = {(write.id, write.token) for group in (*self._groups, self._waiting) for write in group}
        return writing | self._locked.keys()

    def put(self, write: Write) -> None:
        """Take an outcome; it is written as soon as the store answers."""
        self._waiting.append(write)
        self._bell.ring()

    def close(self) -> None:
        """Have `run` end when all is written: nothing more will come."""
        self._closing = True
        self._bell.ring()

    async def written(self) -> None:
        """Wait until it is closed and all is written. Safe to cancel."""
        await self._written.wait()

    async def run(self) -> None:
        """Write until closed and empty; then `ended`."""
        await self._write()
        self._written.set()

    async def _write(self) -> None:
        """Write until closed and empty. What had no answer is sent again as it stands (R2 fence)."""
        pause: float | None = None
        while not (self._closing and self.waiting == 0):
            self._bell.clear()
            if not (self._groups or self._waiting or self._locked.due()):
                await self._bell.wait(self._locked.due_in())
                continue
            try:
                await self._check_locked()
                await self._flush(again=pause is not None)
            except StoreUnavailable as away:
                self._outage.met(away)
                pause = min((pause or _FIRST_PAUSE) * 2, _LONGEST_PAUSE)
                await asyncio.sleep(pause)
                continue
            self._outage.over()
            pause = None
            self._capacity.freed()

    async def _check_locked(self) -> None:
        """Put outcomes whose rows are not locked any more in their place in the queue again."""
        due = self._locked.due()
        if due:
            self._waiting.extendleft(self._locked.part(await self._store.locked_among(due)))

    def _next_batch(self) -> list[Write]:
        """Take what waits, up to a bound of rows and of bytes."""
        batch: list[Write] = []
        size = 0
        while self._waiting and len(batch) < _BATCH and size < _BATCH_BYTES:
            write = self._waiting.popleft()
            size += len(write.result or "") if isinstance(write, Completion) else 0
            batch.append(write)
        return batch

    async def _flush(self, *, again: bool) -> None:
        """Send one statement for the next group, which leaves once it is written.

        When PostgreSQL refuses a row it is halved, so that the row fails alone; when somebody holds a row locked, that
        row is set apart, so that it waits alone.
        """
        if not self._groups:
            self._groups.extend(_by_type(self._next_batch()))
        if not self._groups:
            return
        group = self._groups[0]
        try:
            written = await self._send(group)
        except RowRefused as refused:
            self._groups.popleft()
            if len(group) > 1:
                self._halve(group)
                return
            self._report(OutcomeRefused(str(group[0].id), reason=storable(refused.reason, 200)))
            instead = instead_of(group[0], refused)
            if instead is not None:
                self._waiting.appendleft(instead)
            return
        except Hindered:
            await self._part(group)
            return
        self._groups.popleft()
        self._locked.written(group)
        self._report(Finished(written.rows))
        if written.rows < len(group) and not again:
            self._tell_fenced(group, written)
        if written.pending:
            self._publisher.again(written.pending)

    def _tell_fenced(self, group: Sequence[Write], written: Written) -> None:
        """Tell how many writes met another token, beside those whose rows were said to be canceled."""
        took = {row.id for row in written.pending}
        told = sum(isinstance(write, Return) and write.canceled and write.id not in took for write in group)
        if fenced := len(group) - written.rows - told:
            self._report(Fenced(fenced))

    def _halve(self, group: list[Write]) -> None:
        first, second = halves(group)
        self._groups.extendleft((list(second), list(first)))

    async def _part(self, group: list[Write]) -> None:
        """Set apart what somebody holds locked, and have the rest sent at once: its statement had to wait once.

        Where no row is locked, such as when a trigger of the user's waits for something, it is halved.
        """
        locked = await self._store.locked_among([write.id for write in group])
        self._groups.popleft()
        held = [write for write in group if write.id in locked]
        free = [write for write in group if write.id not in locked]
        if not held and len(group) > 1:
            self._halve(group)
            return
        if held and free:
            self._groups.appendleft(free)
        self._locked.put(held or free)
        self._report(RowsLocked(len(held or free)))

    async def _send(self, group: list[Write]) -> Written:
        match group[0]:
            case Completion():
                return await self._store.finish(cast("list[Completion]", group))
            case Failing():
                return await self._store.fail(cast("list[Failing]", group))
            case Return():
                return await self._store.give_back(cast("list[Return]", group))
            case _:
                assert_never(group[0])


def _by_type(batch: list[Write]) -> list[list[Write]]:
    """Group a batch by the statements that write it."""
    groups: dict[type[Write], list[Write]] = {}
    for write in batch:
        groups.setdefault(type(write), []).append(write)
    return list(groups.values())
