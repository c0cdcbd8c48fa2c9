"""What the rows say, counted."""

from __future__ import annotations

import json

from sluice.core.task import JsonText
from tests.support.stores import Stores


def payload(**values: object) -> JsonText:
    """A payload as it is stored."""
    return JsonText(json.dumps(values))


async def statuses(stores: Stores) -> dict[str, int]:
    """How many tasks are in each status."""
    rows = await stores.raw.fetch("SELECT status, count(*) AS n FROM tasks GROUP BY status")
    return {row["status"]: row["n"] for row in rows}


async def completed(stores: Stores, n: int) -> bool:
    """Whether there are `n` tasks, and all have completed."""
    return await statuses(stores) == {"completed": n}


async def over(stores: Stores) -> bool:
    """Whether no task waits or runs any more."""
    return not await stores.raw.fetchval(
        "SELECT EXISTS (SELECT FROM tasks WHERE status IN ('pending', 'processing'))"
    )


async def charged(stores: Stores) -> int:
    """How many tasks say that they were tried more than once, or that a consumer died with them."""
    return int(
        await stores.raw.fetchval(
            "SELECT count(*) FROM tasks WHERE crashes > 0 OR attempt > (status <> 'pending')::int"
        )
    )
