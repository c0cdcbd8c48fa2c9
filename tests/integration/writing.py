"""A handler that writes its token by ctx.session(), and whether its task came to a status."""

from __future__ import annotations

from typing import Any

from sluice import Context
from sluice.core.task import Status
from tests.support.effects import write
from tests.support.stores import Stores


async def writes(ctx: Context, payload: dict[str, Any]) -> str:
    await write(await ctx.session(), f"token {ctx.fencing_token}")
    return "done"


async def status(stores: Stores, task_id: Any, status: Status) -> bool:
    return (await stores.get(task_id)).status is status
