"""`python -m api` as a process: started, ready, ended."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from cli.embedded import Urls
from core.settings import environment
from tests.support.eventually import eventually

START = 30.0


async def start(urls: Urls, *arguments: str, **settings: str) -> Process:
    """The API as a process on a free port, not waited for."""
    names = {"DATABASE_URL": urls.database_url, "REDIS_URL": urls.redis_url, "LOG_FORMAT": "json", **settings}
    command = (sys.executable, "-P", "-m", "api", *(arguments or ("--port", "0")))
    return await asyncio.create_subprocess_exec(*command, env=environment(**names), stderr=PIPE, stdout=PIPE)


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
    process = await start(urls, *arguments, **settings)
    try:
        url = (await logged(process, "api.listening"))["url"]
        async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:

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
        await process.communicate()


async def ended(process: Process) -> tuple[int, str]:
    """Its exit status and what it said on stderr."""
    async with asyncio.timeout(START):
        _, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, errors.decode()
