"""What a connection needs of the machine before it is made: certificates, a home directory, a user's name.

asyncpg reads them at each try, and its errors name neither the file nor the variable. Connects to nothing.
"""

from __future__ import annotations

import errno
import os
import ssl
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_FILES = ("sslrootcert", "sslcrl", "sslcert", "sslkey")
"""In the order in which asyncpg reads them."""


def missing(error: BaseException) -> str | None:
    """Say in one line what the machine lacks and which variable to set; None when the error is about something else."""
    for each in _causes(error):
        if type(each) is ConnectionError and "rejected SSL upgrade" in str(each):
            return f"DATABASE_URL cannot be used: {each}: take sslmode out of it, or set up TLS there"
        options = _options(each)
        if options is None:
            continue
        if _in(each, "getuser"):
            return (
                f"DATABASE_URL names no user, and user id {os.getuid()} has no passwd entry: "
                "name the user in DATABASE_URL, or set PGUSER"
            )
        if isinstance(each, ssl.SSLError):
            return _unusable(options, "holds no certificate or key that fits", each.reason or str(each))
        if isinstance(each, OSError):
            return _unreadable(options, each)
    return None


def not_allowed(error: BaseException) -> str | None:
    """The same for a socket that this user may not open; one that is not there yet may come."""
    if not any(isinstance(each, OSError) and each.errno == errno.EACCES for each in _causes(error)):
        return None
    return (
        f"user id {os.geteuid()} may not reach the socket that DATABASE_URL names (Permission denied): "
        "run as another user, or set DATABASE_URL"
    )


def _unreadable(options: Mapping[str, Any], error: OSError) -> str:
    for name in _FILES:
        value = options.get(name)
        if isinstance(value, str) and value and (why := _refusal(value)) is not None:
            return f"{_variable(name, value)} {name}={value}: {why}"
    if error.filename and str(error.filename) == _asyncpg_reads("SSLKEYLOGFILE"):
        return f"SSLKEYLOGFILE={error.filename}: {error.strerror}: mend or unset it"
    where = error.filename or options.get("sslrootcert") or "~/.postgresql"
    return (
        f"user id {os.geteuid()} may not look for {where} ({error.strerror}): "
        "set HOME to a directory that it may read, or sslmode=disable in DATABASE_URL"
    )


def _unusable(options: Mapping[str, Any], what: str, why: str) -> str:
    found = {name: value for name in _FILES if (value := options.get(name))}
    named = {name: value for name, value in found.items() if isinstance(value, str)}
    if not named:
        return f"one of {', '.join(map(str, found.values()))} {what} ({why}): mend it, or set HOME"
    files = ", ".join(f"{name}={value}" for name, value in named.items())
    return f"{_variable(*next(iter(named.items())))} {files}: it {what} ({why})"


def _variable(option: str, value: str) -> str:
    """Where the option comes from, with what can be done about it."""
    name = f"PG{option.upper()}"
    return f"{name if _asyncpg_reads(name) == value else 'DATABASE_URL'} cannot be used:"


def _asyncpg_reads(name: str) -> str | None:
    return os.environ.get(name)  # environment: asyncpg takes from it what DATABASE_URL does not say


def _refusal(path: str) -> str | None:
    try:
        with Path(path).open("rb"):
            return None
    except OSError as refused:
        return refused.strerror


def _options(error: BaseException) -> Mapping[str, Any] | None:
    """What asyncpg had understood of the URL and the environment; None when it was past that."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "_parse_connect_dsn_and_args":
            return frame.f_locals
    return None


def _in(error: BaseException, function: str) -> bool:
    return any(frame.f_code.co_name == function for frame, _ in traceback.walk_tb(error.__traceback__))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
