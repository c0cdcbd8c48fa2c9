"""The handlers of the benchmarks: they do as little as each workload allows, so that what is measured is ours."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from sluice import Context, Discard, Retry, handler
from sluice.core.task import Kind

KIND = Kind("bench.nothing")
SLEEPS = {milliseconds: Kind(f"bench.sleep_{milliseconds}") for milliseconds in (1, 25, 100)}
DISCARDED, RETRIED = Kind("bench.discarded"), Kind("bench.retried")
RECORDED, STOPPED = Kind("bench.recorded"), Kind("bench.stopped")
RECORDED_SECONDS = 0.1
"""So long that cancels have something to race with, so short that what is left ends soon."""
_AN_HOUR = 3600.0


@handler(KIND)
async def nothing(ctx: Context, payload: dict[str, Any]) -> None:
    """Return at once."""


@handler(SLEEPS[1])
async def sleep_1(_ctx: Context, _payload: dict[str, Any]) -> None:
    """Wait for a millisecond."""
    await asyncio.sleep(0.001)


@handler(SLEEPS[25])
async def sleep_25(_ctx: Context, _payload: dict[str, Any]) -> None:
    """Wait as long as a quick answer from elsewhere takes."""
    await asyncio.sleep(0.025)


@handler(SLEEPS[100])
async def sleep_100(_ctx: Context, _payload: dict[str, Any]) -> None:
    """Wait as long as a slow answer from elsewhere takes."""
    await asyncio.sleep(0.1)


@handler(DISCARDED)
async def discarded(_ctx: Context, _payload: dict[str, Any]) -> None:
    """Fail for good."""
    raise Discard("as the benchmark wants it")


@handler(RETRIED)
async def retried(ctx: Context, _payload: dict[str, Any]) -> None:
    """Fail the first try, and have the second at once."""
    if ctx.attempt == 1:
        raise Retry("as the benchmark wants it", after=0)


@handler(RECORDED)
async def recorded(ctx: Context, payload: dict[str, Any]) -> None:
    """Write down that it started, in the file that the payload names, and wait a little."""
    record(payload["record"], str(ctx.id))
    await asyncio.sleep(RECORDED_SECONDS)


@handler(STOPPED)
async def stopped(ctx: Context, payload: dict[str, Any]) -> None:
    """Run until it is stopped, and write down when that was, by a clock that all processes here share."""
    try:
        await asyncio.sleep(_AN_HOUR)
    finally:
        record(payload["record"], f"{ctx.id} {time.monotonic()}")


def record(path: str, line: str) -> None:
    """Append a line, whole: it is one write."""
    with Path(path).open("ab", buffering=0) as file:
        file.write(f"{line}\n".encode())
