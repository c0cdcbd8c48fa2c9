"""Runs a command in a process of its own, and sees how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import pytest

from sluice.cli.main import main
from tests.support import launching

_OURS = (
    *("DATABASE_URL", "SLUICE_SCHEMA", "REDIS_URL", "REDIS_PREFIX"),
    *("API_HOST", "API_PORT", "SLUICE_URL", "FORCE_COLOR", "COLUMNS"),
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended and what it said."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Command:
    """`python -P -m sluice` in an empty directory, with nothing of ours in its environment but `env`.

    `first`: arguments before those of each call. `cold`: with an interpreter of its own, for tests about the start.
    """

    directory: Path
    module: str = "sluice"
    first: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    cold: bool = False

    async def start(
        self,
        *arguments: str,
        stdout: int = asyncio.subprocess.PIPE,
        stderr: int = asyncio.subprocess.PIPE,
        env: Mapping[str, str] = MappingProxyType({}),
    ) -> launching.Process:
        """Start it; the caller waits for it."""
        return await launching.start(
            self.module,
            *(*self.first, *arguments),
            environment={**launching.inherited(*_OURS), **self.environment, **env},
            cwd=self.directory,
            cold=self.cold,
            stdin=asyncio.subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
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
            patch.setattr("sluice.cli.main.end_at_signals", lambda: None)  # signals are the main thread's
            patch.chdir(self.directory)
            for name in _OURS:
                patch.delenv(name, raising=False)
            for name, value in {**self.environment, **env}.items():
                patch.setenv(name, value)
            status = main(arguments)
        return Ended(status, stdout.getvalue(), stderr.getvalue())


async def ended(process: launching.Process, stdin: str = "") -> Ended:
    """Wait for `process`; it is killed when the test is over before it."""
    try:
        stdout, stderr = await process.communicate(stdin.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ended(process.returncode, stdout.decode(), (stderr or b"").decode())


async def all_ended(processes: Iterable[launching.Process]) -> list[Ended]:
    """Wait for each."""
    return list(await asyncio.gather(*(ended(process) for process in processes)))
