"""What upkeep reads and changes: turns, due rows, dead consumers' tries, old rows. Runs no loop and pushes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from sluice.core.task import POISONED_AFTER_CRASHES, ConsumerId, FencingToken, Kind, QueueName, RunKey, TaskId
from sluice.db.rows import Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sluice.db.session import Database


BEGINNING = Place(datetime(1, 1, 2, tzinfo=UTC), TaskId(UUID(int=0)))


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that was won: where the last one stopped, and the database's time."""

    cursor: dict[str, Any]
    now: datetime


@dataclass(frozen=True, slots=True)
class DueRow:
    """A delayed row whose time has come."""

    place: Place
    queue: QueueName
    kind: Kind
    priority: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Where a walk over ended tasks stands: an instant, and a place in the table or in one of its parts.

    Instant and place are as PostgreSQL writes them; `part` is the oid of the table or partition.
    """

    finished_at: str = "-infinity"
    place: str = "(0,0)"
    part: int = 0


@dataclass(frozen=True, slots=True)
class Old:
    """A task that ended long ago, and the bytes that it takes on disk."""

    id: TaskId
    ended: Ended
    bytes: int


@dataclass(frozen=True, slots=True)
class LastBeat:
    """When a consumer has beaten last, as PostgreSQL writes it, and its lease in seconds."""

    consumer: ConsumerId
    at: str
    lease: float


@dataclass(frozen=True, slots=True)
class Reaped:
    """An attempt that was taken back, and whose it was. `failed`: its task was failed, as poisoned.

    `host`, `pid` and `silent`, seconds since its last beat, are None when the consumer's row is gone.
    """

    id: TaskId
    consumer: ConsumerId | None
    host: str | None
    pid: int | None
    silent: float | None
    failed: bool


class Upkeep:
    """Each method is one round trip and its own transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_steps(self, steps: Sequence[str]) -> None:
        """Make sure that each step has its row."""
        await self._database.count("add_steps", steps=list(steps))

    async def take_turn(self, step: str, period: timedelta) -> Turn | None:
        """Win the turn of `step`, or None when it is not due or somebody else has it (U1 turns)."""
        rows = await self._database.rows("take_turn", step=step, period=period.total_seconds())
        if not rows:
            return None
        return Turn(_cursor(rows[0].cursor), rows[0].now)

    async def end_turn(self, step: str, cursor: dict[str, Any], again: timedelta | None = None) -> None:
        """Store where the turn stopped; `again`: due sooner than after a whole period."""
        await self._database.count(
            "end_turn",
            step=step,
            cursor=orjson.dumps(cursor).decode(),
            again=None if again is None else again.total_seconds(),
        )

    async def due(self, after: Place, n: int) -> list[DueRow]:
        """Up to `n` delayed rows whose time has come, in order."""
        rows = await self._database.rows("promote_due", after_run_at=after.run_at, after_id=after.id, n=n)
        return [DueRow(Place(row.run_at, row.id), row.queue, row.kind, row.priority) for row in rows]

    async def next_due_in(self) -> timedelta | None:
        """How long until the next delayed row is due; None when none waits."""
        rows = await self._database.rows("promote_next")
        return timedelta(seconds=float(rows[0].due_in)) if rows else None

    async def beats(self) -> list[LastBeat]:
        """The last beat of each consumer that nobody has declared dead."""
        rows = await self._database.rows("beats")
        return [LastBeat(ConsumerId(row.id), row.beat_at, row.lease_seconds) for row in rows]

    async def declare_dead(self, silent: Sequence[LastBeat]) -> int:
        """Declare those dead that have not beaten since, for good; how many there were (U2 reap)."""
        return await self._database.count(
            "declare_dead", ids=[beat.consumer for beat in silent], beats=[beat.at for beat in silent]
        )

    async def dead_attempts(self, n: int) -> list[RunKey]:
        """Up to `n` tries whose consumer is absent or was declared dead: a look, and no more (R3 no second look)."""
        rows = await self._database.rows("reap_look", n=n)
        return [(TaskId(row.id), FencingToken(row.fencing_token)) for row in rows]

    async def reap(self, dead: Sequence[RunKey], spread: timedelta) -> list[Reaped]:
        """Take these back where the token still matches; return those (U2 reap)."""
        rows = await self._database.rows(
            "reap",
            ids=[task_id for task_id, _ in dead],
            tokens=[token for _, token in dead],
            spread=spread.total_seconds(),
            poisoned=POISONED_AFTER_CRASHES,
        )
        return [
            Reaped(row.id, row.consumer_id, row.host, row.pid, row.silent, failed=row.poisoned)
            for row in rows
        ]

    async def ended(self, age: timedelta, after: Ended, n: int) -> list[Old]:
        """The next `n` tasks that ended longer than `age` ago, in order: a look, and no more (R3 no second look)."""
        rows = await self._database.rows(
            "prune_look",
            age=age.total_seconds(),
            after_finished_at=after.finished_at,
            after_place=after.place,
            after_part=after.part,
            n=n,
        )
        return [Old(TaskId(row.id), Ended(row.finished_at, row.place, row.part), row.bytes) for row in rows]

    async def prune(self, ids: Sequence[TaskId], age: timedelta) -> int:
        """Remove those of `ids` that ended longer than `age` ago and that nobody holds locked (U5 prune)."""
        return await self._database.count("prune", ids=list(ids), age=age.total_seconds())

    async def prune_consumers(self) -> int:
        """Forget consumers that have long been dead."""
        return await self._database.count("prune_consumers")


def _cursor(stored: str | None) -> dict[str, Any]:
    """A cursor that is none is handed on as one that no step can read, so that the step says so."""
    try:
        cursor = orjson.loads(stored or "{}")
    except orjson.JSONDecodeError:
        cursor = stored
    return cursor if isinstance(cursor, dict) else {"": cursor}
