"""What clients are shown of tasks. Only describes: answers are written from core/task.py:Task, with its fields."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from sluice.core.task import MAX_ATTEMPTS, Status

_EXAMPLE: JsonDict = {
    "id": "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071",
    "message": "Hello World",
    "status": "completed",
    "created_at": "2026-11-21T09:30:00.123456Z",
    "updated_at": "2026-11-21T09:30:00.131072Z",
    "kind": "echo",
    "queue": "default",
    "priority": 5,
    "payload": {},
    "run_at": "2026-11-21T09:30:00.123456Z",
    "attempt": 1,
    "max_attempts": 5,
    "crashes": 0,
    "timeout": 3600.0,
    "fencing_token": 2,
    "consumer_id": "019ab3c4-0000-7000-8000-000000000001",
    "started_at": "2026-11-21T09:30:00.128000Z",
    "finished_at": "2026-11-21T09:30:00.131072Z",
    "canceled_from": None,
    "result": "Hello World",
    "error": None,
}


class TaskError(BaseModel):
    """Why the last try failed."""

    type: str
    message: Annotated[str, Field(description="2 KB at most; tracebacks go to the log.")]
    at: datetime


class TaskOut(BaseModel):
    """A task as it is now. What is not there yet is null."""

    model_config = ConfigDict(title="Task", json_schema_extra={"examples": [_EXAMPLE]})

    id: Annotated[UUID, Field(description="A UUIDv7: ids sort by the time of their submission.")]
    message: str | None
    status: Status
    created_at: datetime
    updated_at: datetime
    kind: str
    queue: str
    priority: Annotated[int, Field(ge=0, le=9)]
    payload: dict[str, Any]
    run_at: Annotated[datetime, Field(description="Not before this time.")]
    attempt: Annotated[int, Field(ge=0, description="The number of the current or last try.")]
    max_attempts: Annotated[int, Field(ge=1, le=MAX_ATTEMPTS)]
    crashes: Annotated[int, Field(ge=0, description="Consumers that died while they ran it.")]
    timeout: Annotated[float, Field(description="Seconds for one try.")]
    fencing_token: Annotated[int, Field(ge=0, description="Goes up with every change of status.")]
    consumer_id: Annotated[UUID | None, Field(description="Who runs it, or ran it last.")]
    started_at: Annotated[datetime | None, Field(description="When the current or last try was claimed.")]
    finished_at: datetime | None
    canceled_from: Annotated[
        Literal["pending", "processing"] | None,
        Field(description="pending: it never started. processing: it was running."),
    ]
    result: Annotated[Any, Field(description="What the handler returned.")]
    error: TaskError | None


class TaskPage(BaseModel):
    """One page of tasks, newest first."""

    tasks: list[TaskOut]
    next_cursor: Annotated[
        str | None,
        Field(description="Asks for the next page; null on the last.", examples=["AZqzxF1uf4CaGyw9Tl9gcQ"]),
    ]


class BatchAccepted(BaseModel):
    """The ids of a batch, in the order in which its tasks were sent."""

    ids: Annotated[list[UUID], Field(examples=[["019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071"]])]
