"""What the consumers of tests run. Each run notes itself in the file that RUNS names, one line with one write."""

from __future__ import annotations

import asyncio
import json
import os
import time
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import text

from sluice import Context, Discard, Retry, handler
from sluice.consumer.handlers.context import DetachedContext

running = 0


@cache
def _file() -> int:
    return os.open(os.environ["RUNS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def note(ctx: Context | DetachedContext, what: str, **facts: Any) -> None:
    """One line: what happened to which run, where and when (of the machine's monotonic clock)."""
    line = {
        "what": what,
        "id": str(ctx.id),
        "token": ctx.fencing_token,
        "attempt": ctx.attempt,
        "pid": os.getpid(),
        "at": time.monotonic(),
        **facts,
    }
    os.write(_file(), json.dumps(line).encode() + b"\n")


async def _until(payload: dict[str, Any]) -> None:
    """Sleep as long as the payload says, or until the file that it names is there."""
    if "seconds" in payload:
        await asyncio.sleep(payload["seconds"])
    while "until" in payload and not Path(payload["until"]).exists():
        await asyncio.sleep(0.01)


@handler("count")
async def count(ctx: Context, payload: dict[str, Any]) -> int:
    note(ctx, "ran")
    return ctx.attempt


@handler("again")
async def again(ctx: Context, payload: dict[str, Any]) -> None:
    """Fails its first try, and asks for another after so many seconds."""
    note(ctx, "ran")
    if ctx.attempt == 1:
        raise Retry("not yet", after=payload["after"])


@handler("nap")
async def nap(ctx: Context, payload: dict[str, Any]) -> object:
    """Notes how many of its kind run in this process. Returns what its payload says."""
    global running  # noqa: PLW0603 - one loop, one counter
    running += 1
    note(ctx, "started", running=running)
    try:
        await _until(payload)
    except asyncio.CancelledError:
        note(ctx, "canceled")
        raise
    finally:
        running -= 1
    note(ctx, "ended")
    return payload.get("returns")


@handler("block")
async def block(ctx: Context, payload: dict[str, Any]) -> None:
    """Keeps the whole loop from running."""
    note(ctx, "started")
    time.sleep(payload["seconds"])  # noqa: ASYNC251 - what it is for
    note(ctx, "ended")


@handler("stutter")
async def stutter(ctx: Context, payload: dict[str, Any]) -> None:
    """Keeps the loop from running again and again, until a file is there."""
    note(ctx, "started")
    while not Path(payload["until"]).exists():
        time.sleep(1.2)  # noqa: ASYNC251 - what it is for
        await asyncio.sleep(0.3)


@handler("thread")
def thread(ctx: Context, payload: dict[str, Any]) -> None:
    """Ends when it is told to, and hears of nothing else unless `listens`."""
    note(ctx, "started")
    while not Path(payload["until"]).exists():
        if payload.get("listens") and ctx.canceled:
            note(ctx, "canceled")
            return
        time.sleep(0.01)
    note(ctx, "ended")


@handler("compute", cpu_bound=True)
def compute(ctx: DetachedContext, payload: dict[str, Any]) -> int:
    """Runs in a child process, as long as the file is not there."""
    note(ctx, "started")
    while "until" in payload and not Path(payload["until"]).exists():
        time.sleep(0.001)  # the core that it would take is the tests'
    if "dies" in payload:
        os._exit(payload["dies"])
    note(ctx, "ended")
    return os.getpid()


@handler("die")
async def die(ctx: Context, payload: dict[str, Any]) -> None:
    """Takes the whole process along, as long as the file is there."""
    note(ctx, "started")
    await _until({key: value for key, value in payload.items() if key != "while"})
    if Path(payload["while"]).exists():
        os._exit(9)


@handler("effect")
async def effect(ctx: Context, payload: dict[str, Any]) -> str:
    """Writes a row that commits with the completion, then waits."""
    session = await ctx.session()
    await session.execute(text("INSERT INTO effects (what) VALUES (:what)"), {"what": str(ctx.fencing_token)})
    note(ctx, "wrote")
    await _until(payload)
    note(ctx, "ended")
    return "done"


@handler("discard")
async def discard(ctx: Context, payload: dict[str, Any]) -> None:
    note(ctx, "ran")
    raise Discard("not wanted")
