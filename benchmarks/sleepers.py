"""The limit of the sleeps on this event loop: as many coroutines that sleep again and again, and nothing else.

Usage: python -m benchmarks.sleepers COROUTINES MILLISECONDS SECONDS. Prints a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import uvloop


async def main(coroutines: int, milliseconds: int, seconds: float) -> dict[str, Any]:
    """How often they slept, by the second."""
    slept = 0
    began, spent = time.monotonic(), time.process_time()

    async def sleep() -> None:
        nonlocal slept
        while time.monotonic() - began < seconds:
            await asyncio.sleep(milliseconds / 1000)
            slept += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(coroutines):
            group.create_task(sleep())
    return {
        "rate": slept / (time.monotonic() - began),
        "slept": slept,
        "cpu_seconds": round(time.process_time() - spent, 3),
    }


if __name__ == "__main__":
    n, length, duration = sys.argv[1:]
    print(json.dumps(uvloop.run(main(int(n), int(length), float(duration)))))
