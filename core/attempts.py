"""What is told of attempts that ended, as events (core/events.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sluice.core.events import Event, Many


@dataclass(frozen=True, slots=True)
class AttemptEnded(Event):
    """An attempt ended here: `waited_seconds` from when it was due to its claim, `ran_seconds` in its handler."""

    task: str
    kind: str
    attempt: int
    waited_seconds: float
    ran_seconds: float


@dataclass(frozen=True, slots=True)
class TaskCompleted(AttemptEnded):
    """Its handler returned."""

    name: ClassVar[str] = "task.completed"


@dataclass(frozen=True, slots=True)
class TaskSnoozed(AttemptEnded):
    """Its handler asked to be run again at `next_at`, uncharged."""

    name: ClassVar[str] = "task.snoozed"
    next_at: str


@dataclass(frozen=True, slots=True)
class TaskCanceled(AttemptEnded):
    """Its handler was stopped: the row was canceled, or taken by somebody else."""

    name: ClassVar[str] = "task.canceled"


@dataclass(frozen=True, slots=True)
class TaskInterrupted(AttemptEnded):
    """The consumer had to part with it: the attempt goes back uncharged, to be run again."""

    name: ClassVar[str] = "task.interrupted"


@dataclass(frozen=True, slots=True)
class AttemptFailed(AttemptEnded):
    """A handler raised, timed out or returned what cannot be stored."""

    level: ClassVar[str] = "warning"
    error: str


@dataclass(frozen=True, slots=True)
class TaskRetrying(AttemptFailed):
    """It failed, and the next attempt may begin at `next_at`."""

    name: ClassVar[str] = "task.retrying"
    next_at: str
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class TaskFailed(AttemptFailed):
    """It failed for good."""

    name: ClassVar[str] = "task.failed"
    level: ClassVar[str] = "error"
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class TasksEnded(Many):
    """All attempts that ended here within about a second, when they were too many for a line each."""

    name: ClassVar[str] = "tasks.ended"
    completed: int | None = None
    retrying: int | None = None
    failed: int | None = None
    snoozed: int | None = None
    canceled: int | None = None
    interrupted: int | None = None
