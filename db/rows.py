"""From rows to values: the one place where columns become a Task or a Claim."""

from __future__ import annotations

import math
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from sluice.core.ids import plain
from sluice.core.task import MAX_TIMEOUT_SECONDS, MIN_TIMEOUT_SECONDS, Claim, Status, Task, TaskId
from sluice.db.models import TaskRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SURELY_SHALLOW = 200


class Place(NamedTuple):
    """Where a walk by (run_at, id) stands."""

    run_at: datetime
    id: TaskId


COLUMNS = tuple(getattr(TaskRow, field.name) for field in fields(Task))
"""A task's columns, as every statement names them that a Task is made of."""


def to_task(row: Mapping[str, Any]) -> Task:
    """Return the Task of a row of COLUMNS."""
    values = dict(row)
    values["id"] = plain(values["id"])
    if values["consumer_id"] is not None:
        values["consumer_id"] = plain(values["consumer_id"])
    values["status"] = Status(values["status"])
    values["payload"] = _json(values["payload"])
    if values["canceled_from"] is not None:
        values["canceled_from"] = Status(values["canceled_from"])
    for name in ("result", "error"):
        if values[name] is not None:
            values[name] = _json(values[name])
    return Task(**values)


def to_claims(rows: Iterable[Iterable[Any]]) -> list[Claim]:
    """Return the claims of rows of claim.sql or claim_ready.sql: the columns in the order of a Claim's fields."""
    claims = [Claim._make(row) for row in rows]
    if all(MIN_TIMEOUT_SECONDS <= claim.timeout <= MAX_TIMEOUT_SECONDS for claim in claims):
        return claims
    return [_sound(claim) for claim in claims]


def _sound(claim: Claim) -> Claim:
    """The claim with a time that a timer can take, whoever wrote the row."""
    if MIN_TIMEOUT_SECONDS <= claim.timeout <= MAX_TIMEOUT_SECONDS:
        return claim
    longest = math.isnan(claim.timeout) or claim.timeout > MAX_TIMEOUT_SECONDS
    return claim._replace(timeout=MAX_TIMEOUT_SECONDS if longest else MIN_TIMEOUT_SECONDS)


def _json(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """The value; the text itself, to be shown as it is, where PostgreSQL takes what our decoder does not.

    Those are numbers beyond a double, lone surrogates and deep nesting: we store none, but others may write rows.
    """
    try:
        value = orjson.loads(text)
        if text.count("[") + text.count("{") > _SURELY_SHALLOW:
            orjson.dumps([[[value]]])  # as deep as in an answer
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return orjson.Fragment(text)
    return value
