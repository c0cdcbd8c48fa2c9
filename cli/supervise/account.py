"""The unprivileged account that servers run as when we are root. Creates none and loosens no permission."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sluice.core.errors import ConfigurationError

CANDIDATES = ("nobody", "postgres")


@dataclass(frozen=True, slots=True)
class Account:
    """An existing user and its main group."""

    name: str
    uid: int
    gid: int

    def can(self, *command: str) -> bool:
        """Whether `command` succeeds when this account runs it. Blocks for some milliseconds; needs root."""
        try:
            done = subprocess.run(
                command,
                user=self.uid,
                group=self.gid,
                extra_groups=[],
                cwd="/",
                env={},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
        except OSError:
            return False
        return done.returncode == 0

    def can_enter(self, directory: Path) -> bool:
        """Whether every directory on the way lets it pass; asked of the system, so that ACLs count too."""
        return self.can("/bin/sh", "-c", 'cd -- "$0"', str(directory))


def unprivileged(owned: Sequence[Path] = ()) -> Account | None:
    """None when we are not root: servers then run as we do. Otherwise the account that they run as.

    Data that is already there decides: the owner of the first of `owned` that exists goes on owning it.
    """
    if os.geteuid() != 0:
        if _entry(os.geteuid()) is None:
            raise ConfigurationError(
                f"user id {os.geteuid()} has no passwd entry, which PostgreSQL needs: "
                "run as a user that has one, or set DATABASE_URL and REDIS_URL"
            )
        return None
    for path in owned:
        if path.exists() and (owner := _entry(path.stat().st_uid)) and owner.uid != 0:
            return owner
    for name in CANDIDATES:
        try:
            return _account(pwd.getpwnam(name))
        except KeyError:
            continue
    raise ConfigurationError(
        f"PostgreSQL refuses to run as root and there is no user {' or '.join(CANDIDATES)}: "
        "run as an ordinary user, or set DATABASE_URL and REDIS_URL"
    )


def _entry(uid: int) -> Account | None:
    try:
        return _account(pwd.getpwuid(uid))
    except KeyError:
        return None


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)
