"""Rows that no version of ours writes, and JSON that is deeper than we write it."""

from __future__ import annotations

from sluice.core.ids import new_task_id
from tests.support.stores import Stores

DEEP = "[" * 3000 + "]" * 3000
DEEP_FOR_US = '{"a":' * 600 + "1" + "}" * 600


async def forge(stores: Stores, **columns: str) -> str:
    """A pending row with these SQL expressions; its id."""
    task_id = str(new_task_id())
    values = {
        "id": f"'{task_id}'",
        "kind": "'count'",
        "queue": "'default'",
        "priority": "5",
        "max_attempts": "3",
        "timeout": "60",
        **columns,
    }
    await stores.raw.execute(
        f"INSERT INTO tasks ({', '.join(values)}) VALUES ({', '.join(values.values())})"  # noqa: S608 - our own
    )
    return task_id
