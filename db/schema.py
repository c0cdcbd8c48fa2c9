"""Which schema this code needs, which one the database has, and the lock under which it changes. Migrates nothing.

The revisions stand here too, so that a starting API or consumer tells behind from ahead without loading Alembic;
a test compares them with `alembic/versions`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.errors import SchemaAhead, SchemaBehind
from db.faults import postgresql_in_our_words
from db.session import Limits, make_engine

REVISIONS = ("0001",)
"""Every revision, oldest first."""

HEAD = REVISIONS[-1]

LOCK = 0x536C75696365
"""Any number nobody else uses: "Sluice" in ASCII."""

LOCK_TIMEOUT = "5s"
"""How long a migration's statement waits for a table: our own API and consumers queue behind it meanwhile."""

_LOCK_POLL_SECONDS = 0.25
_UNLIMITED = timedelta(0)


async def check(engine: AsyncEngine) -> None:
    """Raise SchemaBehind or SchemaAhead unless the database is at HEAD, StoreUnavailable. Two round trips, no lock."""
    with postgresql_in_our_words():
        async with engine.connect() as connection:
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
