"""Tasks as response bodies. They are written straight from sluice.core.task.Task, in the order of its fields.

A response model would read every value once more to write it: at 64 connections that is a tenth of the throughput.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response

from sluice.core.task import FencingToken, Status, Task

if TYPE_CHECKING:
    from sluice.api.schemas.submission import Submission
    from sluice.core.task import NewTask
    from sluice.db.tasks import Accepted

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC
"""An instant without a zone is PostgreSQL's infinity, as asyncpg has it."""
_JSON = "application/json"


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:  # noqa: ANN401 - JSON
    """`value` as JSON; dataclasses, UUIDs and instants (in UTC) within are written as clients expect them."""
    return Response(orjson.dumps(value, option=_OPTIONS), status, headers, _JSON)


def submitted(submission: Submission, new: NewTask, row: Accepted) -> Task:
    """The row as it was committed, without reading it again: it had no time to be anything but pending."""
    return Task(
        id=new.id,
        message=new.message,
        status=Status.PENDING,
        created_at=row.created_at,
        updated_at=row.created_at,
        kind=new.kind,
        queue=new.queue,
        priority=new.priority,
        payload=submission.payload,
        run_at=row.run_at,
        attempt=0,
        max_attempts=new.max_attempts,
        crashes=0,
        timeout=new.timeout,
        fencing_token=FencingToken(0),
        consumer_id=None,
        started_at=None,
        finished_at=None,
        canceled_from=None,
        result=None,
        error=None,
    )
