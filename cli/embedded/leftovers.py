"""What a run that was killed left behind: a server still stopping, a pid file that names a stranger. Starts nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from core.clock import boottime
from core.errors import ConfigurationError

Say = Callable[[str], None]
"""Takes one line for the user."""

POLL = 0.02
_PROC = Path("/proc")


def recorded_pid(pid_file: Path) -> int | None:
    """The pid on the first line of a server's pid file, or None."""
    try:
        first = pid_file.read_text().partition("\n")[0].strip()
    except FileNotFoundError:
        return None
    return int(first) if first.isdecimal() else None


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
    pid = recorded_pid(pid_file)
    if pid is None or not runs(pid, mark):
        return
    say(f"waiting for {name} of an earlier run to stop (process {pid})")
    for number, patience in stages:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        until = boottime() + patience
        while boottime() < until:
            if not runs(pid, mark):
                return
            await asyncio.sleep(POLL)
    raise ConfigurationError(f"{name} of an earlier run does not stop: end process {pid} and start again")


def _command_line(pid: int) -> str:
    if (_PROC / "self").exists():
        with suppress(OSError):
            return (_PROC / str(pid) / "cmdline").read_text(errors="replace").replace("\0", " ")
        return ""
    done = subprocess.run(
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout
