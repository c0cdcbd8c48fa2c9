"""A kind that not every consumer serves, as in the deploy of a new one. Its handler does nothing."""

from __future__ import annotations

from typing import Any

from sluice import Context, handler
from sluice.core.task import Kind

NEWER = Kind("bench.newer")


@handler(NEWER)
async def newer(_ctx: Context, _payload: dict[str, Any]) -> None:
    """Return at once."""
