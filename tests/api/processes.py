"""`python -m api` as a process: started, ready, ended."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from sluice.cli.embedded import Urls
from tests.support import launching
from tests.support.consuming import ROOT
from tests.support.eventually import eventually
from tests.support.launching import Process

START = 30.0


async def start(urls: Urls, *arguments: str, cold: bool = False, **settings: str) -> Process:
    """The API as a process on a free port, not waited for. `cold`: with an interpreter of its own."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": urls.database_url,
        "REDIS_URL": urls.redis_url,
        "LOG_FORMAT": "json",
    }
    return await launching.start(
        "api",
        *(arguments or ("--port", "0")),
        environment={**environment, **settings},
        cwd=Path.cwd(),
        cold=cold,
    )


async def logged(process: Process, event: str) -> dict[str, Any]:
    """The next such event in its log."""
    assert process.stderr is not None
    async with asyncio.timeout(START):
        async for line in process.stderr:
            said: dict[str, Any] = json.loads(line)
            if said["event"] == event:
                return said
    raise AssertionError("it ended")


@asynccontextmanager
async def serving(
    urls: Urls, *arguments: str, **settings: str
) -> AsyncIterator[tuple[Process, httpx2.AsyncClient]]:
    """The API as a process that is ready, and a client of it."""
    process = await start(urls, *arguments, cold=False, **settings)
    try:
        url = (await logged(process, "api.listening"))["url"]
        async with httpx2.AsyncClient(verify=False, base_url=url, trust_env=False, timeout=30) as client:

            async def ready() -> bool:
                try:
                    return (await client.get("/readyz")).status_code == 200
                except httpx2.TransportError:
                    return False

            await eventually(ready, timeout=START)
            yield process, client
    finally:
        if process.returncode is None:
            process.kill()
        await ended(process)


async def ended(process: Process) -> tuple[int, str]:
    """Its exit status and what it said on stderr."""
    assert process.stderr is not None
    async with asyncio.timeout(START):
        errors = await process.stderr.read()
        return await process.wait(), errors.decode()
