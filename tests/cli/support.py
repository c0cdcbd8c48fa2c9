"""Runs a command in a process of its own, and sees how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import pytest

from cli.main import main

_OURS = ("DATABASE_URL", "SLUICE_SCHEMA", "REDIS_URL", "REDIS_PREFIX", "SLUICE_URL", "FORCE_COLOR", "COLUMNS")


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
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    async def start(
        self,
        *arguments: str,
        stdout: int = asyncio.subprocess.PIPE,
        stderr: int = asyncio.subprocess.PIPE,
        env: Mapping[str, str] = MappingProxyType({}),
    ) -> asyncio.subprocess.Process:
        """Start it; the caller waits for it."""
        inherited = {name: value for name, value in os.environ.items() if name not in _OURS}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", *self.program, *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            cwd=self.directory,
            env={**inherited, **self.environment, **env},
        )

    async def __call__(self, *arguments: str, stdin: str = "", **env: str) -> Ended:
        """Run it to its end."""
        return await ended(await self.start(*arguments, env=env), stdin)


@dataclass(frozen=True, slots=True)
class Within(Command):
    """The same, but called within this process, where it takes no half a second to begin. `start` starts one still."""

    async def __call__(self, *arguments: str, stdin: str = "", **env: str) -> Ended:
        """Run it to its end, on a thread, so that the test's loop goes on."""
        return await asyncio.to_thread(self._run, arguments, stdin, env)

    def _run(self, arguments: Sequence[str], stdin: str, env: Mapping[str, str]) -> Ended:
        stdout, stderr = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
        ):
            patch.setattr("sys.stdin", io.StringIO(stdin))
            patch.setattr("cli.main.end_at_signals", lambda: None)  # signals are the main thread's
            patch.chdir(self.directory)
            for name in _OURS:
                patch.delenv(name, raising=False)
            for name, value in {**self.environment, **env}.items():
                patch.setenv(name, value)
            status = main(arguments)
        return Ended(status, stdout.getvalue(), stderr.getvalue())


async def ended(process: asyncio.subprocess.Process, stdin: str = "") -> Ended:
    """Wait for `process`; it is killed when the test is over before it."""
    try:
        stdout, stderr = await process.communicate(stdin.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ended(process.returncode, stdout.decode(), (stderr or b"").decode())


async def all_ended(processes: Iterable[asyncio.subprocess.Process]) -> list[Ended]:
    """Wait for each."""
    return list(await asyncio.gather(*(ended(process) for process in processes)))
