"""Runs a command in a process of its own, and sees how it ended."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_OURS = ("DATABASE_URL", "REDIS_URL", "SLUICE_URL", "FORCE_COLOR", "COLUMNS")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended and what it said."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Command:
    """`python -P -m cli` in an empty directory, with nothing of ours in its environment but `env`."""

    directory: Path
    program: tuple[str, ...] = ("-m", "cli")

    async def start(self, *arguments: str, **env: str) -> asyncio.subprocess.Process:
        """Start it; the caller waits for it."""
        inherited = {name: value for name, value in os.environ.items() if name not in _OURS}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", *self.program, *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.directory,
            env={**inherited, **env},
        )

    async def __call__(self, *arguments: str, stdin: str = "", **env: str) -> Ended:
        """Run it to its end."""
        return await ended(await self.start(*arguments, **env), stdin)


async def ended(process: asyncio.subprocess.Process, stdin: str = "") -> Ended:
    """Wait for `process`; it is killed when the test is over before it."""
    try:
        stdout, stderr = await process.communicate(stdin.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ended(process.returncode, stdout.decode(), stderr.decode())


async def all_ended(processes: Iterable[asyncio.subprocess.Process]) -> list[Ended]:
    """Wait for each."""
    return list(await asyncio.gather(*(ended(process) for process in processes)))
