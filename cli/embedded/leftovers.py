"""What a run that was killed left behind: a server still stopping, a pid file that names a stranger or nobody.

Starts nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from sluice.core.clock import boottime
from sluice.core.errors import ConfigurationError

Say = Callable[[str], None]
"""Takes one line for the user."""

POLL = 0.02
_PROC = Path("/proc")


def recorded_pid(pid_file: Path) -> int | None:
    """The pid on the first line of a server's pid file, or None."""
    try:
        first = pid_file.read_text(errors="replace").partition("\n")[0].strip().removeprefix("-")
    except FileNotFoundError:
        return None
    return int(first) if first.isascii() and first.isdecimal() and int(first) > 0 else None


def runs(pid: int, mark: str) -> bool:
    """Whether process `pid` lives and has `mark` in its command line."""
    return mark in _command_line(pid)


async def evict(
    name: str, pid_file: Path, mark: str, stages: Sequence[tuple[signal.Signals, float]], say: Say
) -> None:
    """Wait for the server of an earlier run to end, helping with `stages`: a signal, the seconds to wait after it.

    Only called by the holder of the directory's lock, so nobody else has a claim on that server. Raises
    ConfigurationError when it outlives them all.
    """
    pid = _last(pid_file, mark)
    if pid is None or not runs(pid, mark):
        return
    say(f"waiting for {name} of an earlier run to stop (process {pid})")
    for number, seconds in stages:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        until = boottime() + seconds
        while boottime() < until:
            if not runs(pid, mark):
                return
            await asyncio.sleep(POLL)
    raise ConfigurationError(f"{name} of an earlier run does not stop: end process {pid} and start again")


async def deserted(name: str, directory: Path, seconds: float) -> None:
    """Wait for those who still work in `directory`: backends of a killed postmaster, which end by themselves.

    For a server whose pid file says nothing any more, so that it cannot look itself. Only Linux tells who they are.
    Raises ConfigurationError when one outlives `seconds`.
    """
    until = boottime() + seconds
    while (pid := _at_work_in(directory)) is not None:
        if boottime() >= until:
            raise ConfigurationError(
                f"{name} of an earlier run still uses {directory}: end process {pid} and start again"
            )
        await asyncio.sleep(POLL)


def _at_work_in(directory: Path) -> int | None:
    for pid in _pids():
        with suppress(OSError):
            if (_PROC / str(pid) / "cwd").samefile(directory):
                return pid
    return None


def _last(pid_file: Path, mark: str) -> int | None:
    """The pid in the file; when a full disk or a power cut took what it said, whoever runs with this mark."""
    pid = recorded_pid(pid_file)
    return _search(mark) if pid is None and pid_file.exists() else pid


def _search(mark: str) -> int | None:
    """The process with `mark` in its command line; not this one, whose own may name the directory."""
    return next((pid for pid in _pids() if pid != os.getpid() and runs(pid, mark)), None)


def _pids() -> list[int]:
    if (_PROC / "self").exists():
        return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()]
    done = subprocess.run(["/bin/ps", "-ax", "-o", "pid="], capture_output=True, text=True, check=False)
    return [int(pid) for pid in done.stdout.split()]


def _command_line(pid: int) -> str:
    if (_PROC / "self").exists():
        with suppress(OSError):
            return (_PROC / str(pid) / "cmdline").read_text(errors="replace").replace("\0", " ")
        return ""
    done = subprocess.run(
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout
