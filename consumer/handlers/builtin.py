"""The built-in handlers: small enough to read, real enough to try things with."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sluice.consumer.handlers.context import Context
from sluice.consumer.handlers.mark import handler
from sluice.core.task import MAX_ATTEMPTS, MAX_TIMEOUT_SECONDS


class Sleep(BaseModel):
    """How long to sleep."""

    model_config = ConfigDict(extra="forbid")
    seconds: float = Field(1.0, ge=0, le=MAX_TIMEOUT_SECONDS, allow_inf_nan=False)


class Fail(BaseModel):
    """How many tries are to fail before one succeeds."""

    model_config = ConfigDict(extra="forbid")
    times: int = Field(1, ge=0, le=MAX_ATTEMPTS)


@handler("echo")
async def echo(ctx: Context, payload: dict[str, Any]) -> str | None:
    """Return the message."""
    return ctx.message


@handler("sleep")
async def sleep(ctx: Context, payload: Sleep) -> dict[str, float]:
    """Sleep, and say how long."""
    await asyncio.sleep(payload.seconds)
    return {"slept": payload.seconds}


@handler("fail")
async def fail(ctx: Context, payload: Fail) -> dict[str, int]:
    """Fail as often as asked for, then succeed."""
    if ctx.attempt <= payload.times:
        raise RuntimeError(f"failing try {ctx.attempt} of {payload.times}, as asked for")
    return {"failed": payload.times}
