"""From rows to values: the one place where columns become a Task or a Claim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import orjson

from core.task import Claim, Status, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Row


def to_task(row: Row[Any]) -> Task:
    """A Task from a row of get.sql, cancel.sql, retry.sql or a page: the columns in the order of its fields."""
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name, for all its underscore
    values["status"] = Status(values["status"])
    values["payload"] = orjson.loads(values["payload"])
    if values["canceled_from"] is not None:
        values["canceled_from"] = Status(values["canceled_from"])
    for name in ("result", "error"):
        if values[name] is not None:
            values[name] = orjson.loads(values[name])
    return Task(**values)


def to_claims(rows: Sequence[Row[Any]]) -> list[Claim]:
    """Claims from the rows of claim.sql or claim_ready.sql: the columns in the order of its fields."""
    return [Claim(*cast("tuple[Any, ...]", row)) for row in rows]
