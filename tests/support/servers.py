"""One PostgreSQL and one Valkey per test run, shared by all its processes.

The run's first process (with xdist the controller) makes a directory with a FIFO and holds the FIFO open. The first
test process that needs servers starts `python -m sluice.cli.embedded` with that FIFO as stdin: the servers end when
the run does, in whatever way, and outlive any worker.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from sluice.cli.embedded import Urls

STOP_SECONDS = 30.0
_IN_MEMORY = Path("/dev/shm")
_ENOUGH = 2 << 30
"""Bytes. A whole run takes a quarter of it, more with more processes."""


class Run:
    """A test run's own directory, made and ended by its first process."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="sluice-tests-", dir=_place()))
        self.directory.chmod(0o711)  # the servers' account passes through when we are root
        os.mkfifo(self.directory / "alive")
        self._alive = os.open(self.directory / "alive", os.O_RDWR)

    def end(self) -> None:
        """Let the servers end, wait for that, and remove everything."""
        os.close(self._alive)
        deadline = time.monotonic() + STOP_SECONDS
        while (self.directory / ".sluice" / "lock").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        shutil.rmtree(self.directory, ignore_errors=True)


def _place() -> Path | None:
    """In memory where there is plenty, else where temporary files go.

    Tests that kill consumers give them leases of a second. A disk that takes half a second for a commit, as shared ones
    do now and then, kills others with them.
    """
    try:
        there = os.statvfs(_IN_MEMORY)
    except OSError:
        return None
    plenty = there.f_bavail * there.f_frsize >= _ENOUGH and os.access(_IN_MEMORY, os.W_OK | os.X_OK)
    return _IN_MEMORY if plenty else None


def join(directory: Path) -> Urls:
    """The run's servers, started if this is the first process to ask."""
    answer = directory / "urls.json"
    with (directory / "first").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not answer.exists():
            _start(directory, answer)
    found = json.loads(answer.read_text())
    return Urls(database_url=found["database_url"], redis_url=found["redis_url"])


def _start(directory: Path, answer: Path) -> None:
    alive = os.open(directory / "alive", os.O_RDONLY)
    theirs, ours = os.pipe()
    log = directory / "servers.log"
    errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "sluice.cli.embedded", str(directory), "--ephemeral"],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, alive, 0),
                (os.POSIX_SPAWN_DUP2, ours, 1),
                (os.POSIX_SPAWN_DUP2, errors, 2),
            ],
            setsid=True,  # Ctrl-C is for the tests, whose fixtures still need the servers
        )
    finally:
        for fd in (alive, ours, errors):
            os.close(fd)
    with os.fdopen(theirs) as output:
        line = output.readline()
    if not line:
        raise RuntimeError(f"the test servers did not start: {log.read_text().strip()}")
    part = answer.with_suffix(".part")
    part.write_text(line)
    part.rename(answer)
