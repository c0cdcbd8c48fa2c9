"""What the checker holds on to: a row as it was last seen, and a handler at work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sluice.core.task import ConsumerId, RunKey, Status
from tests.simulation.store_tables import TaskRow

if TYPE_CHECKING:
    from tests.simulation.process import SimProcess


_STATUS = {status.value: status for status in Status}
"""Faster than Status(value): every statement looks at every row."""


class Seen(NamedTuple):
    """A row as the last statement left it."""

    status: Status
    token: int
    attempt: int
    crashes: int
    updated_at: object
    consumer: ConsumerId | None

    @classmethod
    def of(cls, row: TaskRow) -> Seen:
        return cls(
            _STATUS[row.status], row.fencing_token, row.attempt, row.crashes, row.updated_at, row.consumer_id
        )


@dataclass(slots=True, eq=False)
class Execution:
    """A handler at work."""

    process: SimProcess
    key: RunKey
    mode: str
    consumer: ConsumerId | None
    started_at: float
