"""`python -m cli.embedded` as a process that a test may kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from cli.embedded import Urls
from tests.support.eventually import eventually

_IMPORTS = "import signal, sys, cli.supervise.child as c, cli.embedded as e, cli.embedded.__main__ as m"
_END = "sys.exit(m.main())"
PIPE_BOND = f"{_IMPORTS}; c.BOND = 'pipe'; {_END}"
NO_BOND = f"{_IMPORTS}; e.Postgres.death_signal = e.Valkey.death_signal = signal.SIGCONT; {_END}"


def gone(pid: int) -> bool:
    """Whether the process has ended (a zombie that its parent has not looked at has)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


@dataclass
class Host:
    """The supervising process, the servers' URLs, and every process below it."""

    process: asyncio.subprocess.Process
    urls: Urls
    pids: dict[str, int]

    @property
    def everybody(self) -> list[int]:
        return family(self.process.pid)

    async def kill(self) -> None:
        """SIGKILL the supervisor alone."""
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        """End its stdin, and wait."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return await self.process.wait()


@asynccontextmanager
async def hosted(
    directory: Path,
    *options: str,
    command: Sequence[str] = (sys.executable, "-m", "cli.embedded"),
    environment: dict[str, str] | None = None,
    user: int | None = None,
) -> AsyncIterator[Host]:
    """Servers on `directory/.sluice`; nothing of them is left at the end."""
    process = await asyncio.create_subprocess_exec(
        *command,
        str(directory),
        *options,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )
    assert process.stdout is not None
    found = json.loads(await process.stdout.readline() or "{}")
    assert found, f"it did not start: status {await process.wait()}"
    host = Host(process, Urls(found["database_url"], found["redis_url"]), found["pids"])
    everybody = host.everybody
    try:
        yield host
    finally:
        if process.returncode is None:
            await host.stop()
        await eventually(lambda: all(map(gone, everybody)))
