"""What a migration needs of the database: an engine, the lock, a place, and words for what PostgreSQL refuses.

Migrates nothing itself: Alembic does, for `sluice migrate` (cli/migrate.py) and for `alembic` (alembic/env.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sluice.core.errors import ConfigurationError, SluiceError, StoreUnavailable
from sluice.db.driver import path_with
from sluice.db.faults import from_postgresql, sqlstate
from sluice.db.schema import FORMER_VERSION_TABLE, VERSION_TABLE, Found, look, quoted, versions
from sluice.db.session import Limits, make_engine

LOCK = 0x536C75696365
"""Any number nobody else uses: "Sluice" in ASCII."""

LOCK_TIMEOUT = "5s"
"""How long a migration's statement waits for a table: our own API and consumers queue behind it meanwhile."""

_LOCK_POLL_SECONDS = 0.25
_UNLIMITED = timedelta(0)


def make_migration_engine(url: str) -> AsyncEngine:
    """An engine whose statements may take as long as they need: an index on a large table does."""
    limits = Limits(statement=_UNLIMITED, lock=_UNLIMITED, answer=timedelta(days=7))
    return make_engine(url, role="migrate", pool_size=2, limits=limits, transactional=True)


@contextmanager
def migration_in_our_words() -> Iterator[None]:
    """What PostgreSQL refuses within leaves as our error, unless the migration itself is at fault."""
    try:
        yield
    except DBAPIError as error:
        ours = _explain(error)
        if ours is None:
            raise
        raise ours from error


def _explain(error: DBAPIError) -> SluiceError | None:
    """What a person can do about it; None when the migration itself is at fault and must be seen as it is."""
    reason = str(error.orig).partition("\n")[0].rpartition(">: ")[2]
    match sqlstate(error):
        case "42501" if "for database" in reason:
            return ConfigurationError(
                f"the database role may not migrate: {reason}; grant it CREATE on the database, "
                "or create the schema that SLUICE_SCHEMA names for it"
            )
        case "42501":
            return ConfigurationError(
                f"the database role may not migrate: {reason}; grant it CREATE on the schema, "
                "or set SLUICE_SCHEMA to one of its own"
            )
        case "3F000":
            return ConfigurationError(
                "the search path of the database role names no schema that is there: "
                "set SLUICE_SCHEMA to one for Sluice's tables"
            )
        case "42P07" | "42710":
            return ConfigurationError(
                f"the database holds tables of somebody else: {reason}; "
                "set SLUICE_SCHEMA to a schema for Sluice's own"
            )
        case "55P03":
            return StoreUnavailable(
                "PostgreSQL", "a table to change stayed in use; run `sluice migrate` again"
            )
        case _:
            return from_postgresql(error)


@asynccontextmanager
async def migration_lock(connection: AsyncConnection, *, on_wait: Callable[[], None]) -> AsyncIterator[None]:
    """Hold a session's advisory lock: one migration at a time on a database. `on_wait` is called once if it is taken.

    It is asked for again and again, not waited for in the server: a session that waits there holds a snapshot, and
    CREATE INDEX CONCURRENTLY in the migration that has the lock would wait for that snapshot in turn. LOCK_TIMEOUT
    is in force from when it is held.
    """
    waiting = False
    while not await _try(connection):
        if not waiting:
            on_wait()
        waiting = True
        await asyncio.sleep(_LOCK_POLL_SECONDS)
    await connection.execute(
        text("SELECT set_config('lock_timeout', :limit, false)"), {"limit": LOCK_TIMEOUT}
    )
    await connection.commit()
    try:
        yield
    finally:
        await connection.rollback()
        await connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})
        await connection.commit()


async def _try(connection: AsyncConnection) -> bool:
    held = await connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK})
    await connection.commit()
    return bool(held)


def enter(connection: Connection, schema: str) -> None:
    """Have names looked up, and tables made, in `schema` first; for as long as the connection lives."""
    if schema:
        connection.execute(text(f"SELECT set_config('search_path', {path_with(schema)}, false)"))
        connection.commit()


def make_room(connection: Connection, schema: str) -> None:
    """Make the schema if it is not there, and VERSION_TABLE for tables that are older than it. The lock must be held.

    Raises ConfigurationError when tables of our names are somebody else's.
    """
    if schema and not connection.scalar(
        text("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = :name)"), {"name": schema}
    ):
        connection.execute(text(f"CREATE SCHEMA {quoted(schema)}"))
    found = look(connection, schema)
    if found.revision is not None and not found.recorded:
        _take_over(connection, found, found.revision)
    connection.commit()


def _take_over(connection: Connection, found: Found, revision: str) -> None:
    """Record the revision. The table that had it is renamed when it holds nothing else; another's is left alone."""
    tables = found.tables
    space = quoted(tables["tasks"].space)
    former = tables.get(FORMER_VERSION_TABLE)
    if (
        VERSION_TABLE not in tables
        and former is not None
        and former.space == tables["tasks"].space
        and versions(connection, former) == [revision]
    ):
        for kind, suffix in (("TABLE", ""), ("INDEX IF EXISTS", "_pkc")):
            connection.execute(
                text(f"ALTER {kind} {space}.{FORMER_VERSION_TABLE}{suffix} RENAME TO {VERSION_TABLE}{suffix}")
            )
        return
    connection.execute(
        text(
            f"CREATE TABLE IF NOT EXISTS {space}.{VERSION_TABLE} "
            f"(version_num varchar(32) NOT NULL CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY)"
        )
    )
    connection.execute(
        text(f"INSERT INTO {space}.{VERSION_TABLE} VALUES (:revision)"),  # noqa: S608 - quoted
        {"revision": revision},
    )
