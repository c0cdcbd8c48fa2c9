"""Databases of a test process's own, on the run's server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from sluice.cli.migrate import upgrade

ADVICE = "a test left a connection open in a transaction"


def named(url: str, name: str) -> str:
    """`url` with another database."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


@asynccontextmanager
async def migrated(url: str, name: str) -> AsyncIterator[str]:
    """The URL of a new database with our schema; dropped at the end, whoever still uses it."""
    async with connected(url) as admin:
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.execute(f'CREATE DATABASE "{name}"')
    await upgrade(named(url, name))
    try:
        yield named(url, name)
    finally:
        async with connected(url) as admin:
            await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


async def clear(url: str) -> None:
    """Empty every table of ours. Deleting beats TRUNCATE on tables as small as a test's, except after a large one."""
    async with connected(url) as connection:
        tables = await connection.fetch(
            "SELECT relname, pg_relation_size(oid) AS size FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'sluice_version'"
        )
        await connection.execute("SET lock_timeout = '5s'")
        for name, size in tables:
            try:
                if size > 1 << 20:
                    await connection.execute(f'TRUNCATE "{name}"')
                elif size:
                    await connection.execute(f'DELETE FROM "{name}"')  # noqa: S608 - from the catalogue
            except asyncpg.LockNotAvailableError as blocked:
                raise AssertionError(f"{name} cannot be emptied: {ADVICE}") from blocked


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection of its own, closed at the end."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def set_for_new_sessions(url: str, setting: str, value: str) -> AsyncIterator[None]:
    """The database begins each new session with `setting` at `value`, until the end."""
    async with connected(url) as connection:
        name = await connection.fetchval("SELECT quote_ident(current_database())")
        await connection.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'")
        try:
            yield
        finally:
            await connection.execute(f"ALTER DATABASE {name} RESET {setting}")
