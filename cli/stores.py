"""Which servers `sluice up` was told to use, in words that show neither a user nor a password. Connects to none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sluice.cli.psql import variables
from sluice.core.errors import ConfigurationError, StoreUnavailable
from sluice.core.settings import EMBEDDED, environment, source

_UNCLEAR = "what it names"
"""For a URL that may hold a piece of a password where a place should be."""


def named(*, database_url: str, redis_url: str) -> Mapping[str, str]:
    """Return a line for each store that has a URL, by the store's name."""
    places = {
        "PostgreSQL": (_database(database_url) if database_url else "", "DATABASE_URL"),
        "Redis": (_redis(redis_url) if redis_url else "", "REDIS_URL"),
    }
    return {store: f"{place}, by {source(variable)}" for store, (place, variable) in places.items() if place}


def using(database_url: str) -> str:
    """Say which database is about to be migrated."""
    return f"using the database {_database(database_url)} ({source('DATABASE_URL')})"


@contextmanager
def or_embedded() -> Iterator[None]:
    """Say, where DATABASE_URL is blamed, how to do without it. Raises ConfigurationError."""
    try:
        yield
    except (ConfigurationError, StoreUnavailable) as error:
        if "DATABASE_URL" not in str(error):
            raise
        raise ConfigurationError(f"{error}; {EMBEDDED}") from None


def _database(url: str) -> str:
    """The database and the server that `url` names. What it leaves open is taken from PG*, as drivers do."""
    if _misplaced(url):
        return _UNCLEAR
    found = {**environment(), **variables(url)}
    hosts, ports = found.get("PGHOST", ""), found.get("PGPORT", "").split(",")
    places = [
        f"{host}:{port}" if port.isdigit() and not host.startswith("/") else host
        for host, port in zip(hosts.split(","), [*ports, *[""] * hosts.count(",")], strict=False)
    ]
    return f"{found.get('PGDATABASE') or 'its default database'} at {','.join(places) or 'its default host'}"


def _redis(url: str) -> str:
    """The server that `url` names, and the database's number when it has one."""
    if _misplaced(url):
        return _UNCLEAR
    return url.partition("://")[2].partition("?")[0].rpartition("@")[2].rstrip("/")


def _misplaced(url: str) -> bool:
    """Whether an @ stands behind the place: what is before it may be a password that is not percent-encoded."""
    behind = url.partition("://")[2]
    authority = re.split(r"[/?#]", behind, maxsplit=1)[0]
    return "@" in behind[len(authority) :]
