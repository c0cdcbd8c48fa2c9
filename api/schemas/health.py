"""What the health endpoints say."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field


class ConsumerOut(BaseModel):
    """A consumer whose lease is live."""

    id: UUID
    host: str
    pid: int
    queues: list[str]
    running: Annotated[int, Field(description="Handlers that it runs now.")]
    capacity: Annotated[int, Field(description="Handlers that it runs at most.")]
    beat_at: datetime


class QueueOut(BaseModel):
    """One queue."""

    depth: Annotated[int, Field(description="Tasks that wait; exact up to 10,000 and capped there.")]


class Health(BaseModel):
    """The stores, the consumers and the queues, at most a second old."""

    status: Annotated[
        Literal["healthy", "degraded", "unhealthy"],
        Field(description="degraded: only Redis is away; tasks are still accepted and run."),
    ]
    database: Annotated[
        Literal["up", "read-only", "down"], Field(description="read-only: nothing can be accepted or run.")
    ]
    redis: Annotated[Literal["up", "down", "disabled"], Field(description="disabled: REDIS_URL is empty.")]
    consumers: list[ConsumerOut]
    queues: dict[str, QueueOut]


class Alive(BaseModel):
    """The process serves requests."""

    status: Literal["alive"]


class Ready(BaseModel):
    """The process can do its work."""

    status: Literal["ready"]
