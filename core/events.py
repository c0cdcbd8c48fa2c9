"""What is worth telling, as typed classes. Logs and metrics are sinks of them (core/telemetry)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from sluice.core.outcome import Reason


@dataclass(frozen=True, slots=True)
class Event:
    """Base: `name` is dotted and stable, `level` is a log level, `count` is what a counter adds."""

    name: ClassVar[str] = "event"
    level: ClassVar[str] = "info"

    @property
    def count(self) -> int:
        """How many things happened at once."""
        return 1

    def facts(self) -> dict[str, Any]:
        """The fields, for a log line."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


Report = Callable[[Event], None]
"""Where a part hands its events; it never raises and never waits."""


@dataclass(frozen=True, slots=True)
class Many(Event):
    """An event that happened `n` times."""

    n: int

    @property
    def count(self) -> int:
        """Its own `n`."""
        return self.n


@dataclass(frozen=True, slots=True)
class Submitted(Many):
    """Rows that were committed."""

    name: ClassVar[str] = "tasks.submitted"
    level: ClassVar[str] = "debug"


@dataclass(frozen=True, slots=True)
class PublishFailed(Many):
    """Ids that Redis did not take; scans will find their rows."""

    name: ClassVar[str] = "tasks.publish_failed"
    level: ClassVar[str] = "warning"
    reason: str


@dataclass(frozen=True, slots=True)
class Unserved(Event):
    """Tasks of this queue and kind are due and no live consumer serves them; told once until one has."""

    name: ClassVar[str] = "tasks.unserved"
    level: ClassVar[str] = "warning"
    queue: str
    kind: str


@dataclass(frozen=True, slots=True)
class Claimed(Many):
    """Tries that this consumer now holds, out of `asked` ids."""

    name: ClassVar[str] = "tasks.claimed"
    level: ClassVar[str] = "debug"
    asked: int


@dataclass(frozen=True, slots=True)
class Scanned(Many):
    """Tries that were claimed by the rows: no list had brought them."""

    name: ClassVar[str] = "tasks.scanned"
    level: ClassVar[str] = "debug"


@dataclass(frozen=True, slots=True)
class GivenBack(Many):
    """Ids or claims returned unstarted."""

    name: ClassVar[str] = "tasks.given_back"
    level: ClassVar[str] = "debug"
    why: Reason


@dataclass(frozen=True, slots=True)
class Finished(Many):
    """Outcomes that were written."""

    name: ClassVar[str] = "tasks.finished"
    level: ClassVar[str] = "debug"


@dataclass(frozen=True, slots=True)
class Fenced(Many):
    """Writes refused because the token was no longer ours."""

    name: ClassVar[str] = "tasks.fenced"
    level: ClassVar[str] = "warning"


@dataclass(frozen=True, slots=True)
class OutcomeRefused(Event):
    """PostgreSQL refuses to store this outcome; the try counts as failed instead."""

    name: ClassVar[str] = "task.outcome_refused"
    level: ClassVar[str] = "warning"
    task: str
    reason: str


@dataclass(frozen=True, slots=True)
class RowsLocked(Many):
    """Outcomes that wait for their rows, which somebody else holds locked; the others are written."""

    name: ClassVar[str] = "tasks.locked"
    level: ClassVar[str] = "warning"


@dataclass(frozen=True, slots=True)
class Garbage(Many):
    """Entries found in Redis that are no ids, or keys of the wrong type, removed."""

    name: ClassVar[str] = "redis.garbage"
    level: ClassVar[str] = "warning"
    where: str


@dataclass(frozen=True, slots=True)
class StoreLost(Event):
    """A store stopped answering."""

    name: ClassVar[str] = "store.lost"
    level: ClassVar[str] = "warning"
    store: str
    doing: str
    reason: str


@dataclass(frozen=True, slots=True)
class StoreBack(Event):
    """A store answers again."""

    name: ClassVar[str] = "store.back"
    store: str
    doing: str


@dataclass(frozen=True, slots=True)
class StepFailed(Event):
    """A periodic step raised; it will be tried again."""

    name: ClassVar[str] = "step.failed"
    level: ClassVar[str] = "error"
    step: str
    reason: str
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class UpkeepDone(Many):
    """What one upkeep turn changed; of attempts that were taken back whose they were, why, and some of their tasks.

    `failed` of these tasks had crashed once too often, and are not run again.
    """

    name: ClassVar[str] = "upkeep.done"
    level: ClassVar[str] = "info"
    step: str
    consumer: str | None = None
    why: str | None = None
    tasks: tuple[str, ...] | None = None
    failed: int | None = None


@dataclass(frozen=True, slots=True)
class ConsumerStarted(Event):
    """A consumer registered itself and begins to pull."""

    name: ClassVar[str] = "consumer.started"
    consumer: str
    queues: tuple[str, ...]
    kinds: tuple[str, ...]
    capacity: int


@dataclass(frozen=True, slots=True)
class LeaseLost(Event):
    """This consumer may have been declared dead; it stops its handlers and goes on under a new id."""

    name: ClassVar[str] = "lease.lost"
    level: ClassVar[str] = "error"
    consumer: str
    why: str


@dataclass(frozen=True, slots=True)
class LoopStalled(Event):
    """A handler keeps the event loop from running: that of the task named, or of one of these."""

    name: ClassVar[str] = "loop.stalled"
    level: ClassVar[str] = "error"
    seconds: float
    stack: str
    tasks: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Draining(Event):
    """A stop was asked for."""

    name: ClassVar[str] = "consumer.draining"
    running: int
    deadline_seconds: float


@dataclass(frozen=True, slots=True)
class Drained(Event):
    """The consumer has stopped; `left` rows are others' to recover."""

    name: ClassVar[str] = "consumer.stopped"
    left: int
