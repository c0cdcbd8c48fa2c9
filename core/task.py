"""A task as values: ids, statuses, what a client submits, what the row says, what a consumer holds. No behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, NewType
from uuid import UUID

if TYPE_CHECKING:
    from datetime import datetime

TaskId = NewType("TaskId", UUID)
ConsumerId = NewType("ConsumerId", UUID)
QueueName = NewType("QueueName", str)
Kind = NewType("Kind", str)
FencingToken = NewType("FencingToken", int)
ReadyList = NewType("ReadyList", str)
"""The name of a Redis list of ready ids, without the prefix that all our names have."""
JsonText = NewType("JsonText", str)
"""JSON as text, exactly as it is stored: never decoded on the way from the client to the handler and back."""

DEFAULT_QUEUE = QueueName("default")
DEFAULT_KIND = Kind("echo")
PRIORITIES = range(10)
DEFAULT_PRIORITY = 5
DEFAULT_MAX_ATTEMPTS = 5
MAX_ATTEMPTS = 100
DEFAULT_TIMEOUT_SECONDS = 3600.0
MIN_TIMEOUT_SECONDS = 0.001
MAX_TIMEOUT_SECONDS = 7 * 24 * 3600.0
MAX_MESSAGE_BYTES = 64 * 1024
MAX_RESULT_BYTES = 1024 * 1024
MAX_ERROR_BYTES = 2048
MAX_AHEAD_DAYS = 3653
MAX_NESTING = 64
POISONED_AFTER_CRASHES = 3
SUSPECTED_AFTER_CRASHES = POISONED_AFTER_CRASHES - 1
"""One more would poison such a task: it is a suspect, of which a consumer runs one at a time (U2 reap)."""
KIND_PATTERN = r"^[A-Za-z0-9_.:-]{1,128}$"
QUEUE_PATTERN = r"^[A-Za-z0-9_.-]{1,64}$"


class Status(StrEnum):
    """Where a task is in its life; core/lifecycle.py has the edges between them."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELED})


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A validated submission. `run_at` and `delay` (seconds) are never both set; both None means now."""

    id: TaskId
    kind: Kind
    message: str | None = None
    queue: QueueName = DEFAULT_QUEUE
    priority: int = DEFAULT_PRIORITY
    payload: JsonText = JsonText("{}")
    run_at: datetime | None = None
    delay: float | None = None
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    timeout: float = DEFAULT_TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True)
class Task:
    """The row, its fields in the order in which the API shows them. Durations are seconds; JSON is decoded."""

    id: TaskId
    message: str | None
    status: Status
    created_at: datetime
    updated_at: datetime
    kind: Kind
    queue: QueueName
    priority: int
    payload: dict[str, Any]
    run_at: datetime
    attempt: int
    max_attempts: int
    crashes: int
    timeout: float
    fencing_token: FencingToken
    consumer_id: ConsumerId | None
    started_at: datetime | None
    finished_at: datetime | None
    canceled_from: Status | None
    result: Any
    error: dict[str, Any] | None


class Claim(NamedTuple):
    """One try of one task, held by this consumer: `token` fences every later write."""

    id: TaskId
    token: FencingToken
    kind: Kind
    queue: QueueName
    priority: int
    message: str | None
    payload: JsonText
    attempt: int
    max_attempts: int
    crashes: int
    timeout: float
    waited: float = 0.0
    """Seconds from when it was due to this claim."""

    @property
    def key(self) -> RunKey:
        """What distinguishes this run from every other run of the same task."""
        return (self.id, self.token)

    @property
    def suspected(self) -> bool:
        """Whether one more crash would poison the task.

        One crash makes no suspect. A killed consumer leaves a hundred innocent tasks, which would run one at a time.
        """
        return self.crashes >= SUSPECTED_AFTER_CRASHES


RunKey = tuple[TaskId, FencingToken]
