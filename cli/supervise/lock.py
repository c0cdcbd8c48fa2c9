"""One holder per directory, by flock: it goes with the process, however that ends. Waits for nobody."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sluice.core.errors import ConfigurationError


class Held(ConfigurationError):
    """Another process holds the directory."""

    def __init__(self, directory: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(f"{directory} is in use by {who}: stop it first, or run this in another directory")
        self.directory = directory
        self.pid = pid


@contextmanager
def hold(directory: Path) -> Iterator[None]:
    """Hold `directory/lock` for the time of the block, and remove the file at its end. Raises Held.

    The descriptor is not inherited, so no child can keep the lock for a holder that was killed.
    """
    path = directory / "lock"
    fd = _take(path)
    try:
        with suppress(OSError):  # it says who holds the lock, which holds without it: on a full disk too
            os.truncate(fd, 0)
            os.write(fd, f"{os.getpid()}\n".encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(fd)


def _take(path: Path) -> int:
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as refused:
            raise ConfigurationError(
                f"cannot open {path}: {refused.strerror}; remove it, or see whose it is"
            ) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(fd, 32).decode("ascii", "replace").strip()
            os.close(fd)
            raise Held(path.parent, int(pid) if pid.isdecimal() else None) from None
        except BaseException:
            os.close(fd)
            raise
        if _is(path, fd):
            return fd
        os.close(fd)  # its last holder removed the file between our open and our lock


def _is(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False
