"""Pages of a list: its filters, and the cursor that continues it. Reads nothing."""

from __future__ import annotations

import base64
import re
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from sluice.api.schemas import instants
from sluice.api.schemas.submission import KindName, Queue
from sluice.core.task import Status, TaskId

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
_CURSOR = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")  # 16 bytes leave two bits for the last of 22


def to_cursor(after: TaskId) -> str:
    """The id in 22 characters that need no quoting in a URL."""
    return base64.urlsafe_b64encode(after.bytes).decode("ascii").rstrip("=")


def from_cursor(cursor: str) -> TaskId:
    """The id that `cursor` stands for. Raises ValueError unless `to_cursor` would write it so."""
    if _CURSOR.fullmatch(cursor) is None:
        raise ValueError("it must be the next_cursor of a page")
    return TaskId(UUID(bytes=base64.urlsafe_b64decode(f"{cursor}==")))


def _check(cursor: str) -> str:
    from_cursor(cursor)
    return cursor


Since = Annotated[
    datetime, BeforeValidator(instants.parse), WithJsonSchema({"type": "string", "format": "date-time"})
]


class TaskQuery(BaseModel):
    """What `GET /tasks` may be asked; anything else is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Annotated[Status | None, Field(description="Only tasks with this status.")] = None
    kind: Annotated[KindName | None, Field(description="Only tasks of this kind.")] = None
    queue: Annotated[Queue | None, Field(description="Only tasks of this queue.")] = None
    since: Annotated[
        Since | None,
        Field(
            description="Only tasks created at this time (RFC 3339) or later; write Z, or %2B for a plus sign."
        ),
    ] = None
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Tasks on one page.")] = DEFAULT_LIMIT
    cursor: Annotated[
        Annotated[
            str, AfterValidator(_check), WithJsonSchema({"type": "string", "pattern": f"^{_CURSOR.pattern}$"})
        ]
        | None,
        Field(description="The `next_cursor` of the page before."),
    ] = None
