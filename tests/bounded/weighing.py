"""The memory of an API that is watched while something is done to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import psutil

from tests.bounded.processes import ApiProcess


class Peak:
    """The most memory that a process was seen to hold, in MiB."""

    def __init__(self) -> None:
        self.memory = 0.0


@asynccontextmanager
async def watched(api: ApiProcess) -> AsyncIterator[Peak]:
    """Watch the API's memory, and that it answers others soon. What this process itself is late does not count."""
    peak, over = Peak(), asyncio.Event()
    process, late = psutil.Process(api.pid), 0.0

    async def weigh() -> None:
        nonlocal late
        while not over.is_set():
            peak.memory = max(peak.memory, process.memory_info().rss / 2**20)
            began = time.monotonic()
            await asyncio.sleep(0.02)
            late += time.monotonic() - began - 0.02

    async def ask() -> None:
        async with httpx2.AsyncClient(
            verify=False, base_url=str(api.client.base_url), trust_env=False
        ) as other:
            while not over.is_set():
                began, late_before = time.monotonic(), late
                assert (await other.get("/livez", timeout=30)).status_code == 200
                assert time.monotonic() - began - (late - late_before) < 3
                await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        group.create_task(weigh())
        group.create_task(ask())
        try:
            yield peak
        finally:
            over.set()
