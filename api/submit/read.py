"""From the bytes of a request to tasks that can be inserted: decoded, validated, completed. Touches no store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from sluice.api.problems.errors import MOST_FLAWS, Invalid
from sluice.api.problems.findings import flaws_of
from sluice.api.schemas.submission import MAX_BATCH, Batch, StatusChange, Submission
from sluice.api.submit.strict_json import decode
from sluice.core.errors import Flaw
from sluice.core.ids import new_task_id
from sluice.core.task import DEFAULT_MAX_ATTEMPTS, DEFAULT_TIMEOUT_SECONDS, JsonText, Kind, NewTask, QueueName

if TYPE_CHECKING:
    from sluice.api.http.body_budget import BodyBudget
    from sluice.db.browse import Served

M = TypeVar("M", bound=BaseModel)

AT_ONCE_BYTES = 16 << 10
"""Bodies up to this size are decoded where they are: three milliseconds at the worst."""
_NO_PAYLOAD = JsonText("{}")
_FIELDS: Mapping[type[BaseModel], frozenset[str]] = {
    model: frozenset(model.model_fields) for model in (Submission, Batch, StatusChange)
}


async def _off_loop(read: Callable[[bytes | bytearray], M], body: bytes | bytearray, budget: BodyBudget) -> M:
    """Decode a large body on a thread: other requests go on meanwhile."""
    return read(body) if len(body) <= AT_ONCE_BYTES else await budget.decode(read, body)


async def read_submission(body: bytes | bytearray, budget: BodyBudget) -> Submission:
    """One task. Raises NotJson, Unsound and Invalid, and Overloaded for a large one."""
    return await _off_loop(_submission, body, budget)


async def read_batch(body: bytes | bytearray, budget: BodyBudget) -> Batch:
    """Many tasks; otherwise as `read_submission`."""
    return await _off_loop(_batch, body, budget)


async def read_status_change(body: bytes | bytearray, budget: BodyBudget) -> StatusChange:
    """A change of status; otherwise as `read_submission`."""
    return await _off_loop(_status_change, body, budget)


def complete(submission: Submission, served: Served | None) -> NewTask:
    """The task with a new id. What the client left open its kind decides, what that leaves open the defaults."""
    max_attempts = submission.max_attempts or (served and served.max_attempts) or DEFAULT_MAX_ATTEMPTS
    timeout = submission.timeout or (served and served.timeout) or DEFAULT_TIMEOUT_SECONDS
    payload = submission.payload
    return NewTask(
        id=new_task_id(),
        kind=Kind(submission.kind),
        message=submission.message,
        queue=QueueName(submission.queue),
        priority=submission.priority,
        payload=JsonText(orjson.dumps(payload).decode()) if payload else _NO_PAYLOAD,
        run_at=submission.run_at,
        delay=submission.delay,
        max_attempts=max_attempts,
        timeout=timeout,
    )


def _submission(body: bytes | bytearray) -> Submission:
    return _validated(Submission, decode(body, around=1))


def _status_change(body: bytes | bytearray) -> StatusChange:
    return _validated(StatusChange, decode(body, around=1))


def _batch(body: bytes | bytearray) -> Batch:
    return _validated(Batch, decode(body, around=3))


def _validated(model: type[M], value: object) -> M:
    unknown = list(islice(_unknown(model, value), MOST_FLAWS))
    if len(unknown) == MOST_FLAWS:
        raise Invalid(unknown)  # pydantic would name a million of them, at a kilobyte each
    try:
        return model.model_validate(value)
    except ValidationError as invalid:
        raise Invalid(flaws_of(invalid)) from None


def _unknown(model: type[BaseModel], value: object) -> Iterator[Flaw]:
    """Each key that `model` does not know; those of a batch's tasks too."""
    if model is Batch and isinstance(value, dict) and isinstance(tasks := value.get("tasks"), list):
        for number, task in enumerate(islice(tasks, MAX_BATCH)):
            yield from _extra(_FIELDS[Submission], task, "tasks", number)
    yield from _extra(_FIELDS[model], value)


def _extra(known: frozenset[str], value: object, *path: str | int) -> Iterable[Flaw]:
    if not isinstance(value, dict) or known.issuperset(value):
        return ()
    return (Flaw((*path, key), "Extra inputs are not permitted") for key in value if key not in known)
