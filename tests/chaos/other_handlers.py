"""Handlers of the consumer that serves other kinds on the same queues, as during the deploy of a new kind."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from sluice import Context, handler
from tests.chaos.noted import noted


@handler("chaos.other")
async def other(ctx: Context, payload: dict[str, Any]) -> None:
    with noted(ctx):
        await asyncio.sleep(payload["seconds"])


@handler("chaos.other.thread")
def other_thread(ctx: Context, payload: dict[str, Any]) -> None:
    with noted(ctx):
        time.sleep(payload["seconds"])
