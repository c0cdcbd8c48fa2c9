"""What the consumers of a chaos run work on. Every run notes its start and its end in its process's history."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import text

from consumer import Context, handler
from consumer.context import DetachedContext
from tests.chaos.history import History

HISTORIES = "CHAOS_HISTORIES"
MEMBER = "CHAOS_MEMBER"


@cache
def _history() -> History:
    """Also a computing child writes to its consumer's file: each line is one append."""
    return History(Path(os.environ[HISTORIES]) / f"runs-{os.environ[MEMBER]}.jsonl")


@contextmanager
def _noted(ctx: Context | DetachedContext) -> Iterator[None]:
    facts = {"id": str(ctx.id), "token": ctx.fencing_token, "member": os.environ[MEMBER], "pid": os.getpid()}
    _history().add("start", **facts, kind=ctx.kind, attempt=ctx.attempt)
    how = "canceled"
    try:
        yield
        how = "ok"
    except Exception:
        how = "raised"
        raise
    finally:
        _history().add("end", **facts, how=how)


@handler("chaos.noop")
async def noop(ctx: Context, payload: dict[str, Any]) -> None:
    with _noted(ctx):
        pass


@handler("chaos.nap")
async def nap(ctx: Context, payload: dict[str, Any]) -> None:
    with _noted(ctx):
        await asyncio.sleep(payload["seconds"])


@handler("chaos.flaky")
async def flaky(ctx: Context, payload: dict[str, Any]) -> None:
    with _noted(ctx):
        if ctx.attempt <= payload["times"]:
            raise RuntimeError("as asked for")


@handler("chaos.thread")
def thread(ctx: Context, payload: dict[str, Any]) -> None:
    with _noted(ctx):
        time.sleep(payload["seconds"])


@handler("chaos.compute", cpu_bound=True)
def compute(ctx: DetachedContext, payload: dict[str, Any]) -> None:
    with _noted(ctx):
        until = time.monotonic() + payload["seconds"]
        while time.monotonic() < until:
            pass


@handler("chaos.effect")
async def effect(ctx: Context, payload: dict[str, Any]) -> None:
    """Its row commits together with the completion, or not at all."""
    with _noted(ctx):
        session = await ctx.session()
        await session.execute(
            text("INSERT INTO chaos_effects (id, token) VALUES (:id, :token)"),
            {"id": ctx.id, "token": ctx.fencing_token},
        )
        await asyncio.sleep(payload["seconds"])
