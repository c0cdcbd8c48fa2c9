"""The handler of a drain: it does nothing, so that all that is measured is ours."""

from __future__ import annotations

from typing import Any

from consumer import Context, handler
from core.task import Kind

KIND = Kind("bench.nothing")


@handler(KIND)
async def nothing(ctx: Context, payload: dict[str, Any]) -> None:
    """Return at once."""
