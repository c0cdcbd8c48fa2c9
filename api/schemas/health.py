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
    kinds: Annotated[
        list[str], Field(description="Kinds that it serves; 100 at most, and fewer of many consumers.")
    ]
    unnamed_kinds: Annotated[int, Field(description="How many more kinds it serves.")]
    running: Annotated[int, Field(description="Handlers that it runs now.")]
    capacity: Annotated[int, Field(description="Handlers that it runs at most.")]
    beat_at: datetime


class QueueOut(BaseModel):
    """One queue."""

    depth: Annotated[
        int | None,
        Field(description="Tasks that wait; exact up to 10,000 and capped there. null: not counted yet."),
    ]
    counted_at: Annotated[
        datetime | None, Field(description="When they were counted: where there are many queues, in turn.")
    ]


class Health(BaseModel):
    """The stores, the consumers and the queues, at most a second old."""

    status: Annotated[
        Literal["healthy", "degraded", "unhealthy"],
        Field(description="degraded: only Redis is away or refuses; tasks are still accepted and run."),
    ]
    database: Annotated[
        Literal["up", "read-only", "down"], Field(description="read-only: nothing can be accepted or run.")
    ]
    redis: Annotated[
        Literal["up", "refusing", "down", "disabled"],
        Field(description="refusing: it answers, but not to all commands. disabled: REDIS_URL is empty."),
    ]
    reasons: Annotated[list[str], Field(description="Why the status is not healthy, in words.")]
    warnings: Annotated[
        list[str],
        Field(description="What waits and nobody alive serves, in words. They do not change the status."),
    ]
    consumers: list[ConsumerOut]
    queues: Annotated[
        dict[str, QueueOut],
        Field(description="Queues that hold tasks or are served, those served first; 1,000 at most."),
    ]
    unnamed_queues: Annotated[int, Field(description="How many more queues hold tasks.")]
    unserved_queues: Annotated[
        list[str], Field(description="Those of `queues` that hold tasks and that no live consumer serves.")
    ]


class Alive(BaseModel):
    """The process serves requests."""

    status: Literal["alive"]


class Ready(BaseModel):
    """The process can do its work."""

    status: Literal["ready"]
