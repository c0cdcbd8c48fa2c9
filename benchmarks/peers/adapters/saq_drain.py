# mypy: ignore-errors
# ruff: noqa: D103
# Its peer is not installed where types are checked; drain_protocol tells what `fill` and `work` do.
"""SAQ's part of a drain that is the same on both of its stores."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from drain_protocol import TASKS, chunks, payload, ran, tuned
from saq import Queue, Worker


def dump(value: dict[str, Any]) -> bytes:
    return orjson.dumps(value, default=str)


load = orjson.loads


async def nothing(ctx: dict[str, Any], *, carried: dict[str, Any]) -> None:  # noqa: ARG001 - given
    ran(carried["number"])


async def fill(queue: Queue) -> None:
    await queue.connect()
    for numbers in chunks(range(TASKS), 20):
        await asyncio.gather(*(queue.enqueue("nothing", carried=payload(number)) for number in numbers))
    await queue.disconnect()


async def work(queue: Queue, jobs: str) -> None:
    await queue.connect()
    await Worker(queue, [nothing], concurrency=int(tuned("JOBS", jobs))).start()
    await queue.disconnect()
