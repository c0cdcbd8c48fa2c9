"""Where data and sockets lie, and who owns them. Starts nothing."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from sluice.cli.embedded import files
from sluice.cli.supervise.account import Account, unprivileged
from sluice.core.errors import ConfigurationError

SYSTEM = Path("/var/lib/sluice")
# Not the configured temporary directory: a socket's path may have 107 bytes, and on macOS that one alone takes half.
SOCKETS = Path("/tmp")  # noqa: S108 - ownership and mode are checked below
POSTGRES_DATA = "pg18"
VALKEY_DATA = "valkey"


@dataclass(frozen=True, slots=True)
class Place:
    """`home` is `.sluice` itself, `data` holds what the servers keep (usually the same), `sockets` their sockets."""

    home: Path
    data: Path
    sockets: Path
    account: Account | None

    @classmethod
    def under(cls, root: Path) -> Place:
        """Find and prepare the place for `root`. Raises ConfigurationError when it cannot be written.

        As root, when the servers' account cannot reach `.sluice`, the data lies in /var/lib/sluice and `.sluice/where`
        says so.
        """
        home = make_home(root)
        account = unprivileged([home / POSTGRES_DATA])
        data = home
        if account is not None:
            _let_through(home)
            if not account.can_enter(home):
                data = SYSTEM / _name(home)
                _prepare(SYSTEM)
                _prepare(data)
                _let_through(SYSTEM)
                _let_through(data)
                account = unprivileged([data / POSTGRES_DATA]) or account
        where = home / "where"
        if data == home:
            where.unlink(missing_ok=True)
        else:
            files.put(where, f"{data}\n")
        return cls(home, data, sockets_of(home), account)

    def directory(self, name: str, *, base: Path | None = None) -> Path:
        """A directory under `data` (or `base`) that belongs to the servers' account alone."""
        path = (base or self.data) / name
        path.mkdir(mode=0o700, exist_ok=True)
        self.give(path)
        return path

    def give(self, path: Path) -> None:
        """Hand `path` to the servers' account."""
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)

    def open_sockets(self) -> None:
        """Make the private directory for sockets, or empty our own of an earlier run. Refuses another user's."""
        expected = {os.geteuid()} if self.account is None else {os.geteuid(), self.account.uid}
        try:
            self.sockets.mkdir(mode=0o700)
        except FileExistsError:
            found = self.sockets.lstat()
            private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
            if not private or found.st_uid not in expected:
                raise ConfigurationError(
                    f"{self.sockets} was not made by Sluice (user id {found.st_uid}, mode "
                    f"{stat.S_IMODE(found.st_mode):o}): remove it and start again"
                ) from None
            self._empty_sockets()
        self.give(self.sockets)

    def close_sockets(self) -> None:
        """Remove what `open_sockets` made."""
        if self.sockets.exists():
            self._empty_sockets()
            self.sockets.rmdir()

    def _empty_sockets(self) -> None:
        for path in self.sockets.iterdir():
            path.unlink()


def sockets_of(home: Path) -> Path:
    """Where the servers on `home` (absolute) have their sockets, when this user runs them."""
    return SOCKETS / f"sluice-{os.geteuid()}-{_name(home)}"


def _name(home: Path) -> str:
    return hashlib.sha256(os.fsencode(home)).hexdigest()[:12]


def home_of(root: Path) -> Path:
    """`root/.sluice`, whether it is there or not."""
    return root.resolve() / ".sluice"


def make_home(root: Path) -> Path:
    """`root/.sluice`, made when it is not there; it keeps itself out of version control."""
    home = home_of(root)
    _prepare(home)
    keep_out = home / ".gitignore"
    if not keep_out.exists():
        files.put(keep_out, "*\n")
    return home


def _prepare(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as refused:
        raise ConfigurationError(
            f"cannot make {directory}: {refused.strerror}; run this in a directory that you may write to"
        ) from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"cannot write to {directory}, which belongs to user id {directory.stat().st_uid}: "
            "run as that user, or in another directory"
        )


def _let_through(directory: Path) -> None:
    """Our own directory may be passed, not listed. Everything in it that matters has a lock of its own."""
    found = directory.stat()
    if found.st_uid == os.geteuid():
        directory.chmod(stat.S_IMODE(found.st_mode) | 0o011)
