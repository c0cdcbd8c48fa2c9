"""What the consumers of a chaos run work on. Every run notes its start and its end in its process's history."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from typing import Any

from sqlalchemy import text

from sluice import Context, handler
from sluice.consumer.handlers.context import DetachedContext
from tests.chaos.noted import noted


@handler("chaos.noop")
async def noop(ctx: Context, payload: dict[str, Any]) -> None:
    with noted(ctx):
        pass


@handler("chaos.delayed")
async def delayed(ctx: Context, payload: dict[str, Any]) -> None:
    """A noop whose kind says that its start is put off."""
    with noted(ctx):
        pass


@handler("chaos.nap")
async def nap(ctx: Context, payload: dict[str, Any]) -> None:
    with noted(ctx):
        await asyncio.sleep(payload["seconds"])


@handler("chaos.flaky")
async def flaky(ctx: Context, payload: dict[str, Any]) -> None:
    with noted(ctx):
        if ctx.attempt <= payload["times"]:
            raise RuntimeError("as asked for")


@handler("chaos.thread")
def thread(ctx: Context, payload: dict[str, Any]) -> None:
    with noted(ctx):
        time.sleep(payload["seconds"])


@handler("chaos.compute", cpu_bound=True)
def compute(ctx: DetachedContext, payload: dict[str, Any]) -> None:
    """Compute, or with `idle` sleep: a child that is there and leaves the machine to the others."""
    with noted(ctx):
        until = time.monotonic() + payload["seconds"]
        while time.monotonic() < until:
            if payload.get("idle"):
                time.sleep(0.02)


@handler("chaos.large")
async def large(ctx: Context, payload: dict[str, Any]) -> str:
    """A result near the limit that does not compress."""
    with noted(ctx):
        return base64.b64encode(os.urandom(payload["bytes"] * 3 // 4)).decode()


@handler("chaos.effect")
async def effect(ctx: Context, payload: dict[str, Any]) -> None:
    """Its row commits together with the completion, or not at all."""
    with noted(ctx):
        session = await ctx.session()
        await session.execute(
            text("INSERT INTO chaos_effects (id, token) VALUES (:id, :token)"),
            {"id": ctx.id, "token": ctx.fencing_token},
        )
        await asyncio.sleep(payload["seconds"])
