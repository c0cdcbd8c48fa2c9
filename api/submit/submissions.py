"""Group commit (A1 commit): submissions that arrive together share one INSERT. Validates and pushes nothing.

No timer gathers them. A flusher takes whatever waits the moment it is free: a lone submission leaves at once, and
batches grow exactly with the load. Where several wait, the others that were read together have one turn of the loop
to come as well.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from sys import getsizeof
from typing import TYPE_CHECKING, Protocol

from sluice.api.problems.errors import MaybeAccepted
from sluice.core.errors import OutcomeUnknown, Overloaded, RowRefused, StoreUnavailable
from sluice.core.events import Submitted
from sluice.core.halving import bisected

if TYPE_CHECKING:
    from sluice.core.events import Report
    from sluice.core.task import NewTask, TaskId
    from sluice.db.tasks import Accepted

TIMEOUT = timedelta(seconds=1.5)
"""How long a submission may take: its 503 is out within two seconds."""
ROWS_AT_ONCE = 1_000
BYTES_AT_ONCE = 4 << 20
MOST_ROWS_WAITING = 20_000
"""Of submissions of one task: more could not be answered in time."""
MOST_BYTES_WAITING = 64 << 20
_PAUSES = (0.02, 0.05, 0.1, 0.2)
"""Seconds between tries while PostgreSQL is away; the last goes on."""
_POSTGRESQL = "PostgreSQL"


class SubmitsTasks(Protocol):
    """What is needed of the store."""

    async def submit(self, new: Sequence[NewTask]) -> Mapping[TaskId, Accepted]: ...


HandOver = Callable[[Sequence["NewTask"], Mapping["TaskId", "Accepted"]], None]
"""Takes what was committed; called once per statement, it must not wait."""


@dataclass(slots=True, eq=False)
class Unit:
    """What one request submits: it stands or falls as a whole. `away`: why the last statement with it failed."""

    new: Sequence[NewTask]
    size: int
    answer: asyncio.Future[Mapping[TaskId, Accepted]]
    in_flight: bool = False
    outcome_unknown: bool = False
    away: StoreUnavailable | None = None


class Submissions:
    """Takes submissions of concurrent requests. `run` is a flusher; several may run at once."""

    def __init__(
        self, store: SubmitsTasks, *, hand_over: HandOver, report: Report, most_rows: int = MOST_ROWS_WAITING
    ) -> None:
        self._store = store
        self._hand_over = hand_over
        self._report = report
        self._most_rows = most_rows
        self._waiting: OrderedDict[Unit, None] = OrderedDict()
        self._rows = 0
        self._bytes = 0
        self._bell = asyncio.Event()
        self._closing = False

    async def submit(
        self, new: Sequence[NewTask], *, seconds: float = TIMEOUT.total_seconds()
    ) -> Mapping[TaskId, Accepted]:
        """All of `new` or none; what became of each, once it is committed.

        Raises RowRefused, and Overloaded when too much waits. After `seconds` StoreUnavailable: withdrawn, or
        MaybeAccepted when a statement with it has left. Safe to cancel: what has not left is withdrawn.
        """
        unit = self.put(new)
        timer = asyncio.get_running_loop().call_later(seconds, self.give_up, unit)
        try:
            return await unit.answer
        finally:
            timer.cancel()
            self.leave(unit)

    def put(self, new: Sequence[NewTask]) -> Unit:
        """Have `new` submitted without waiting for it: `answer` is as of `submit`. Raises Overloaded.

        Whoever stops waiting for the answer calls `leave`.
        """
        unit = Unit(new, sum(map(_size, new)), asyncio.get_running_loop().create_future())
        rows, size = self._rows + len(new), self._bytes + unit.size
        if self._waiting and (rows > self._most_rows or size > MOST_BYTES_WAITING):
            raise Overloaded("the list of submissions that wait", retry_after=timedelta(seconds=1))
        self._rows, self._bytes = rows, size
        self._waiting[unit] = None
        self._bell.set()
        return unit

    def give_up(self, unit: Unit) -> None:
        """End the time of `unit`: StoreUnavailable, and withdrawn, or MaybeAccepted when a statement with it left."""
        if unit.answer.done():
            return
        if unit.in_flight or unit.outcome_unknown:
            unit.answer.set_exception(MaybeAccepted([task.id for task in unit.new]))
        else:
            unit.answer.set_exception(unit.away or StoreUnavailable(_POSTGRESQL, "no connection in time"))
        self.leave(unit)

    def leave(self, unit: Unit) -> None:
        """Withdraw `unit` if it still waits: nobody is there for its answer. Its room is free at once."""
        unit.answer.cancel()
        if unit in self._waiting:
            self._remove(unit)

    def close(self) -> None:
        """Let the flushers end once nothing waits. Whoever submits must have been stopped before."""
        self._closing = True
        self._bell.set()

    async def run(self) -> None:
        """Flush until closed and empty. Never to be canceled while a statement is in flight."""
        while True:
            units = self._take()
            if units:
                await bisected(units, self._write, _refuse)
            elif self._closing:
                return
            else:
                self._bell.clear()
                await self._bell.wait()
                if len(self._waiting) > 1:  # those that were read with them are here a turn of the loop later
                    await asyncio.sleep(0)

    def _take(self) -> list[Unit]:
        """What shares the next statement: as much as fits, and at least one unit."""
        units: list[Unit] = []
        rows = size = 0
        while self._waiting:
            unit = next(iter(self._waiting))
            rows, size = rows + len(unit.new), size + unit.size
            if units and (rows > ROWS_AT_ONCE or size > BYTES_AT_ONCE):
                break
            self._remove(unit)
            units.append(unit)
        return units

    def _remove(self, unit: Unit) -> None:
        del self._waiting[unit]
        self._rows -= len(unit.new)
        self._bytes -= unit.size

    async def _write(self, some: Sequence[Unit]) -> None:
        """Send one statement for those that were not withdrawn, again as it stands while somebody waits for it.

        Raises RowRefused when the statement failed for one of them, and then nothing was done.
        """
        tries = 0
        while units := [unit for unit in some if not unit.answer.done()]:
            new = [task for unit in units for task in unit.new]
            for unit in units:
                unit.in_flight = True
            try:
                accepted = await self._store.submit(new)
            except RowRefused:
                for unit in units:
                    unit.in_flight = False
                raise
            except StoreUnavailable as away:
                for unit in units:
                    unit.in_flight = False
                    unit.outcome_unknown |= isinstance(away, OutcomeUnknown)
                    unit.away = away
            except Exception as fault:  # noqa: BLE001 - a fault of ours: told to each request, and the flusher lives
                _fail(units, fault)
                return
            else:
                self._settle(units, new, accepted)
                return
            await asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
            tries += 1

    def _settle(self, units: list[Unit], new: Sequence[NewTask], accepted: Mapping[TaskId, Accepted]) -> None:
        for unit in units:
            if not unit.answer.done():
                unit.answer.set_result(accepted)
        self._hand_over(new, accepted)
        self._report(Submitted(len(new)))


def _size(task: NewTask) -> int:
    return getsizeof(task.payload) + getsizeof(task.message)


def _refuse(unit: Unit, refused: RowRefused) -> None:
    _fail([unit], refused)


def _fail(units: Sequence[Unit], error: Exception) -> None:
    for unit in units:
        if not unit.answer.done():
            unit.answer.set_exception(error)
