"""`python -m sluice.cli.embedded` as a process that a test may kill."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil

from sluice.cli.embedded import Urls
from tests.support import launching
from tests.support.eventually import eventually
from tests.support.families import family, gone

_IMPORTS = (
    "import signal, sys, sluice.cli.supervise.child as c, "
    "sluice.cli.embedded as e, sluice.cli.embedded.__main__ as m"
)
_END = "sys.exit(m.main())"
PIPE_BOND = f"{_IMPORTS}; c.BOND = 'pipe'; {_END}"
NO_BOND = f"{_IMPORTS}; e.Postgres.death_signal = e.Valkey.death_signal = signal.SIGCONT; {_END}"


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
    command: Sequence[str] = (sys.executable, "-m", "sluice.cli.embedded"),
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


@dataclass
class Up:
    """A running `sluice up`: where its API is, and what it has said on stderr so far."""

    process: launching.Process
    url: str
    urls: Urls
    log: Path
    box: str

    @property
    def everybody(self) -> list[int]:
        return family(self.process.pid)

    def child(self, mark: str) -> int:
        """The pid of the one direct child that has `mark` in its command line; AssertionError while there is none."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):  # it ends while we look
                if mark in " ".join(child.cmdline()):
                    found.append(child.pid)
        assert len(found) == 1, f"{mark}: {found}"
        return found[0]

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    async def interrupt(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal, and wait for the end."""
        self.process.send_signal(number)
        return await self.process.wait()

    async def kill(self) -> None:
        await self.interrupt(signal.SIGKILL)


async def start_up(directory: Path, *options: str, **settings: str) -> tuple[launching.Process, Path]:
    """Start `sluice up --port 0` in `directory` with nothing of ours in its environment but `settings`."""
    ours = ("DATABASE_URL", "REDIS_URL", "API_PORT", "SLUICE_URL", "FORCE_COLOR", "HANDLERS")
    log = directory / "stderr"
    with log.open("w") as stderr:
        process = await launching.start(
            *("sluice", "up", "--port", "0", *options),
            cwd=directory,
            environment={**launching.inherited(*ours), **settings},
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr.fileno(),
        )
    return process, log


@asynccontextmanager
async def up(directory: Path, *options: str, **settings: str) -> AsyncIterator[Up]:
    """`sluice up` from the moment at which it shows its box; nothing of it is left at the end."""
    process, log = await start_up(directory, *options, **settings)
    everybody = [process.pid]
    try:
        box, url, urls = await _read_box(process, log, named=settings)
        everybody = family(process.pid)
        yield Up(process, url, urls, log, box)
    finally:
        if process.returncode is None:
            everybody = family(process.pid)
            process.send_signal(signal.SIGTERM)
            await process.wait()
        await eventually(lambda: all(map(gone, everybody)))


async def _read_box(
    process: launching.Process, log: Path, *, named: Mapping[str, str]
) -> tuple[str, str, Urls]:
    assert process.stdout is not None
    box = ""
    while "╰" not in box:
        line = (await process.stdout.readline()).decode()
        assert line, f"it did not start, status {await process.wait()}: {log.read_text()}"
        box += line
    exports = {"DATABASE_URL": "", "REDIS_URL": ""}
    for name in exports:
        if name not in named:
            words = shlex.split((await process.stdout.readline()).decode())
            exports[name] = words[1].removeprefix(f"{name}=")
    url = next(word for word in box.split() if word.startswith("http"))
    return box, url, Urls(exports["DATABASE_URL"], exports["REDIS_URL"])


async def setting(urls: Urls, name: str) -> str:
    """What PostgreSQL says of one of its settings."""
    connection = await asyncpg.connect(urls.database_url)
    try:
        return str(await connection.fetchval("SELECT current_setting($1)", name))
    finally:
        await connection.close()
