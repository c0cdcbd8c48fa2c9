"""An API as a process of its own, and what it holds, as the kernel and the process itself see it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil

from sluice.cli.embedded import Urls
from tests.support import launching
from tests.support.consuming import ROOT
from tests.support.eventually import eventually

START_SECONDS = 30.0
GAUGED = "tests.bounded.gauged"


@dataclass(frozen=True, slots=True)
class Held:
    """What one process holds. `tasks`: of asyncio; `objects`: that the collector knows; `memory`: resident MiB."""

    tasks: int
    objects: int
    threads: int
    files: int
    children: int
    memory: float


async def held(pid: int, gauge: Path) -> Held:
    """What the process `pid` holds now. It runs gauged.py, with GAUGE naming `gauge`."""
    gauge.unlink(missing_ok=True)
    process = psutil.Process(pid)
    process.send_signal(signal.SIGUSR1)
    await eventually(gauge.exists)
    inside = json.loads(gauge.read_text())
    return Held(
        tasks=inside["tasks"],
        objects=inside["objects"],
        threads=process.num_threads(),
        files=process.num_fds(),
        children=len(process.children(recursive=True)),
        memory=process.memory_info().rss / 2**20,
    )


class ApiProcess:
    """`said` holds what it wrote on stderr."""

    def __init__(self, process: launching.Process, gauge: Path) -> None:
        self.process = process
        self.gauge = gauge
        self.said: list[str] = []
        self.client = httpx2.AsyncClient(verify=False)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        url = self.client.base_url
        assert url.port is not None
        return url.host, url.port

    async def read(self) -> None:
        """Follow what it writes to its end."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.said.append(line.decode("utf-8", "replace").rstrip())

    def listening(self) -> str | None:
        """Where, once it says so."""
        for line in self.said:
            if '"api.listening"' in line:
                return str(json.loads(line)["url"])
        assert self.process.returncode is None, self.said
        return None

    async def held(self) -> Held:
        """What it holds now."""
        return await held(self.pid, self.gauge)

    async def alive(self) -> bool:
        """Whether it is up, well and quick."""
        async with asyncio.timeout(5):
            return (await self.client.get("/livez")).status_code == 200


@asynccontextmanager
async def api_process(urls: Urls, prefix: str, directory: Path, **settings: Any) -> AsyncIterator[ApiProcess]:
    """`python -m api`, ready; killed at the end."""
    gauge = directory / "api.gauge"
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": urls.database_url,
        "REDIS_URL": urls.redis_url,
        "REDIS_PREFIX": prefix,
        "UNKNOWN_KINDS": "accept",
        "LOG_FORMAT": "json",
        "GAUGE": str(gauge),
    }
    process = await launching.start(
        *(GAUGED, "api", "--port", "0"), environment={**environment, **settings}, cwd=directory
    )
    api = ApiProcess(process, gauge)
    async with asyncio.TaskGroup() as group:
        group.create_task(api.read())
        try:
            url = await eventually(api.listening, timeout=START_SECONDS)
            async with httpx2.AsyncClient(
                verify=False, base_url=str(url), trust_env=False, timeout=30
            ) as client:
                api.client = client

                async def ready() -> bool:
                    try:
                        return (await client.get("/readyz")).status_code == 200
                    except httpx2.TransportError:
                        return False

                await eventually(ready, timeout=START_SECONDS)
                yield api
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
