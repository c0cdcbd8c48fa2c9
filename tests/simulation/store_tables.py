"""What SimStore holds: rows as PostgreSQL's tables have them, a clock, and row locks of open transactions.

Applies no rule of ours; the statements beside it do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from sluice.consumer.stores import LOCK_WAIT
from sluice.core.errors import Hindered
from sluice.core.task import (
    SUSPECTED_AFTER_CRASHES,
    Claim,
    ConsumerId,
    FencingToken,
    JsonText,
    Kind,
    QueueName,
    TaskId,
)
from sluice.db.claims import Lane
from tests.simulation.broken import Broken

ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)
"""The database's time when the clock says 0."""
DECLARED_DEAD = datetime.min.replace(tzinfo=UTC)
"""An `expires_at` of '-infinity'."""
LOCK_TIMEOUT = LOCK_WAIT.total_seconds()
POSTGRESQL = "PostgreSQL"


@dataclass(slots=True)
class TaskRow:
    """A row of `tasks`; JSON as text. Its fields are the columns."""

    id: TaskId
    kind: Kind
    queue: QueueName
    priority: int
    message: str | None
    payload: str
    created_at: datetime
    updated_at: datetime
    run_at: datetime
    max_attempts: int
    timeout: float
    status: str = "pending"
    fencing_token: int = 0
    attempt: int = 0
    crashes: int = 0
    consumer_id: ConsumerId | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    canceled_from: str | None = None
    result: str | None = None
    error: str | None = None

    @property
    def lane(self) -> Lane:
        """What a scan finds it by."""
        return Lane(self.queue, self.kind, self.priority)

    @property
    def suspected(self) -> bool:
        """Whether one more crash would poison it."""
        return self.crashes >= SUSPECTED_AFTER_CRASHES


@dataclass(slots=True)
class ConsumerRow:
    """A row of `consumers`."""

    id: ConsumerId
    host: str
    pid: int
    queues: list[QueueName]
    kinds: list[Kind]
    signature: str
    capacity: int
    lease_seconds: float
    started_at: datetime
    beat_at: datetime
    expires_at: datetime
    running: int = 0
    suspect_id: TaskId | None = None
    suspect_token: int | None = None

    @property
    def declared_dead(self) -> bool:
        """Whether others have judged, for good."""
        return self.expires_at == DECLARED_DEAD


@dataclass(slots=True)
class KindRow:
    """A row of `kinds`."""

    kind: Kind
    payload_schema: str | None
    max_attempts: int | None
    timeout: float | None
    updated_at: datetime


@dataclass(slots=True)
class StepRow:
    """A row of `upkeep`."""

    step: str
    next_run_at: datetime
    cursor: str | None = None


@dataclass(slots=True, eq=False)
class RowLock:
    """A row that an open transaction holds; the server ends one that idles past `until`.

    The server's own limits are measured by a clock that does not step: see Tables.uptime.
    """

    until: float
    released: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Tables:
    """`effects`: what committed ctx.session() transactions wrote. `stepped`: how far the database's clock is off."""

    clock: Callable[[], float]
    random: Random
    broken: Broken
    tasks: dict[TaskId, TaskRow] = field(default_factory=dict)
    consumers: dict[ConsumerId, ConsumerRow] = field(default_factory=dict)
    kinds: dict[Kind, KindRow] = field(default_factory=dict)
    steps: dict[str, StepRow] = field(default_factory=dict)
    effects: list[Any] = field(default_factory=list)
    locks: dict[TaskId, RowLock] = field(default_factory=dict)
    stepped: timedelta = timedelta()

    def now(self) -> datetime:
        """The database's clock."""
        return ORIGIN + timedelta(seconds=self.clock()) + self.stepped

    def uptime(self) -> float:
        """Seconds on the clock by which the server measures its timeouts."""
        return self.clock()

    def alive(self, consumer: ConsumerId | None) -> bool:
        """Whether its lease has not run out, by the database's clock, and nobody has judged."""
        row = self.consumers.get(consumer) if consumer is not None else None
        return row is not None and row.expires_at > self.now()

    def judged(self, consumer: ConsumerId | None) -> bool:
        """Whether it is absent, or was declared dead."""
        row = self.consumers.get(consumer) if consumer is not None else None
        return row is None or row.declared_dead or (self.broken.dead_by_the_clock and not self.alive(row.id))

    def named(self, task: TaskRow) -> bool:
        """Whether the consumer that holds this run named it before it began (U2 reap)."""
        row = self.consumers.get(task.consumer_id) if task.consumer_id is not None else None
        return row is not None and (row.suspect_id, row.suspect_token or task.fencing_token) == (
            task.id,
            task.fencing_token,
        )

    def locked(self, task_id: TaskId) -> bool:
        """Whether another transaction holds this row: SKIP LOCKED passes it over."""
        lock = self.locks.get(task_id)
        if lock is not None and lock.until <= self.uptime():
            self.unlock(task_id, lock)
            return False
        return lock is not None

    def unlock(self, task_id: TaskId, lock: RowLock) -> None:
        """End this lock, and none that came after it."""
        lock.released.set()
        if self.locks.get(task_id) is lock:
            del self.locks[task_id]

    async def wait_for(self, ids: Iterable[TaskId]) -> None:
        """Until no other transaction holds any of these rows. Raises Hindered when that takes too long."""
        ids, deadline = list(ids), self.uptime() + LOCK_TIMEOUT
        while held := [self.locks[task_id] for task_id in ids if self.locked(task_id)]:
            try:
                async with asyncio.timeout(min(held[0].until, deadline) - self.uptime()):
                    await held[0].released.wait()
            except TimeoutError:
                if self.uptime() >= deadline:
                    raise Hindered(POSTGRESQL, "canceling statement due to lock timeout") from None


def to_claim(row: TaskRow, now: datetime) -> Claim:
    """What a claim returns of its row."""
    return Claim(
        row.id,
        FencingToken(row.fencing_token),
        row.kind,
        row.queue,
        row.priority,
        row.message,
        JsonText(row.payload),
        row.attempt,
        row.max_attempts,
        row.crashes,
        row.timeout,
        (now - row.run_at).total_seconds(),
    )


def by_place(row: TaskRow) -> tuple[datetime, TaskId]:
    """The order of promote and of the claim by the rows."""
    return (row.run_at, row.id)
