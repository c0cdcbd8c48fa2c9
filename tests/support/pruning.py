"""A look and an act of prune, from the beginning."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from sluice.core.task import TaskId
from sluice.db.upkeep import Ended, Old


class _Prunes(Protocol):
    async def ended(self, age: timedelta, after: Ended, n: int) -> list[Old]: ...
    async def prune(self, ids: Sequence[TaskId], age: timedelta) -> int: ...


async def prune(upkeep: _Prunes, age: timedelta, n: int) -> int:
    """How many of the first `n` tasks that ended before `age` were removed."""
    return await upkeep.prune([row.id for row in await upkeep.ended(age, Ended(), n)], age)
