"""Many rows at once."""

from __future__ import annotations

from sluice.core.ids import new_task_id
from tests.support.stores import Stores


async def fill(stores: Stores, n: int, *, kind: str = "echo", status: str = "completed") -> None:
    """Many rows that have ended, in one statement, older than whatever comes after."""
    ids = [new_task_id() for _ in range(n)]
    await stores.raw.execute(
        "INSERT INTO tasks (id, kind, queue, priority, max_attempts, timeout, status, finished_at) "
        "SELECT id, $2, 'default', 5, 5, 1, $3, now() FROM unnest($1::uuid[]) AS id",
        ids,
        kind,
        status,
    )
