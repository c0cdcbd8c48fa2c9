"""Which schema this code needs, which one the database has, and the lock under which it changes. Migrates nothing.

The revisions stand here too, so that a starting API or consumer tells behind from ahead without loading Alembic;
a test compares them with `alembic/versions`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.errors import ConfigurationError, SchemaAhead, SchemaBehind, SluiceError, StoreUnavailable
from db.faults import from_postgresql, postgresql_in_our_words, sqlstate
from db.session import Limits, make_engine

REVISIONS = ("0001", "0002", "0003")
"""Every revision, oldest first."""

HEAD = REVISIONS[-1]

TABLES = ("consumers", "kinds", "tasks", "upkeep")
"""What the role of an API or a consumer must be able to use; a test compares them with the models."""

_FORBIDDEN = text("""
SELECT string_agg(name, ', ')
  FROM unnest(CAST(:tables AS text[])) AS name, to_regclass(name) AS oid
 WHERE NOT has_table_privilege(oid, 'SELECT')
    OR name <> 'alembic_version'
       AND NOT (
         has_table_privilege(oid, 'INSERT')
         AND has_table_privilege(oid, 'UPDATE')
         AND has_table_privilege(oid, 'DELETE')
       )
""")
"""Tables that are there and that the role may not use; of Alembic's own it only reads."""

LOCK = 0x536C75696365
"""Any number nobody else uses: "Sluice" in ASCII."""

LOCK_TIMEOUT = "5s"
"""How long a migration's statement waits for a table: our own API and consumers queue behind it meanwhile."""

_LOCK_POLL_SECONDS = 0.25
_UNLIMITED = timedelta(0)


async def check(engine: AsyncEngine) -> None:
    """Whether this code can use the database. Three round trips, no lock.

    Raises SchemaBehind or SchemaAhead unless it is at HEAD, ConfigurationError when the role may not use its tables,
    and StoreUnavailable.
    """
    with postgresql_in_our_words():
        async with engine.connect() as connection:
            forbidden = await connection.scalar(_FORBIDDEN, {"tables": [*TABLES, "alembic_version"]})
            if forbidden:
                raise ConfigurationError(
                    f"the database role may not use {forbidden}: grant it SELECT, INSERT, UPDATE and DELETE"
                )
            found = await revision(connection)
    judge(found)


def judge(found: str | None) -> None:
    """The verdict of `check` on a revision; None is a database without our tables."""
    if found == HEAD:
        return
    if found is None or found in REVISIONS:
        raise SchemaBehind(found, HEAD)
    raise SchemaAhead(found, HEAD)


async def revision(connection: AsyncConnection) -> str | None:
    """The revision that the database is at, None when it was never migrated."""
    if not await connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL")):
        return None
    found: str | None = await connection.scalar(text("SELECT max(version_num) FROM alembic_version"))
    return found


def make_migration_engine(url: str) -> AsyncEngine:
    """An engine of one connection whose statements may take as long as they need: an index on a large table does."""
    limits = Limits(statement=_UNLIMITED, lock=_UNLIMITED, answer=timedelta(days=7))
    return make_engine(url, role="migrate", pool_size=1, limits=limits, transactional=True)


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
        case "42501":
            return ConfigurationError(
                f"the database role may not migrate: {reason}; grant it CREATE on the schema"
            )
        case "42P07":
            return ConfigurationError(
                f"the database holds tables of somebody else: {reason}; give Sluice its own"
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
