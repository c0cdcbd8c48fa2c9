"""`sluice migrate`: brings a database to the schema that this code needs. Never takes one back, never deletes a row.

Any number of processes may call it at once: one migrates, the others wait for it and then find nothing to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from core.errors import ConfigurationError, SchemaBehind
from core.settings import DatabaseSettings, load
from db import schema
from db.faults import sqlstate
from db.start import await_postgresql

_LOCK_NOT_AVAILABLE = "55P03"
_TRIES = 6
PAUSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Result:
    """The revisions before and after; `before` is None for an empty database."""

    before: str | None
    after: str

    @property
    def changed(self) -> bool:
        """Whether there was anything to do."""
        return self.before != self.after


def _silent(_sentence: str) -> None:
    pass


async def upgrade(database_url: str, *, say: Callable[[str], None] = _silent) -> Result:
    """Migrate to the newest schema and tell what it was before. A database that is there already costs two reads.

    `say` is told, in a sentence, what is waited for. Raises ConfigurationError (SchemaAhead among them) for what only a
    person can mend and StoreUnavailable when PostgreSQL stays away for 30 s. Safe to cancel: a migration that has begun
    is rolled back.
    """
    engine = schema.make_migration_engine(database_url)
    try:
        await await_postgresql(engine, on_wait=lambda reason: say(f"waiting for PostgreSQL: {reason}"))
        with schema.migration_in_our_words():
            async with engine.connect() as connection:
                before = await _pending(connection)
                if before == schema.HEAD:
                    return Result(before, before)
                async with schema.migration_lock(
                    connection, on_wait=lambda: say("waiting: another process migrates this database")
                ):
                    before = await _pending(connection)
                    await _run(connection, say)
            return Result(before, schema.HEAD)
    finally:
        await engine.dispose()


def run() -> int:
    """The command: migrate the database that DATABASE_URL names and say what happened."""
    from cli import render

    url = load(DatabaseSettings).database_url.get_secret_value()
    result = asyncio.run(upgrade(url, say=render.note))
    if result.changed:
        render.write_line(f"migrated from {result.before or 'an empty database'} to {result.after}")
    else:
        render.write_line(f"already at {result.after}")
    return 0


def migrations() -> Path:
    """The folder of env.py and versions/: inside the installed package, else beside alembic.ini in a checkout."""
    spec = find_spec("db")
    package = Path(next(iter((spec and spec.submodule_search_locations) or ())))
    for folder in (package / "migrations", package.parent / "alembic"):
        if (folder / "env.py").is_file():
            return folder
    raise ConfigurationError(f"no migrations in {package / 'migrations'}: install Sluice again")


async def _pending(connection: AsyncConnection) -> str | None:
    """The revision now; raises SchemaAhead when this code cannot migrate it."""
    found = await schema.revision(connection)
    await connection.commit()
    try:
        schema.judge(found)
    except SchemaBehind:
        return found
    return found


async def _run(connection: AsyncConnection, say: Callable[[str], None]) -> None:
    """Migrate. A table that stays locked for 5 s is let go, so that others get on, and asked for again."""
    for tries_left in reversed(range(_TRIES)):
        try:
            return await connection.run_sync(_upgrade)
        except DBAPIError as error:
            if sqlstate(error) != _LOCK_NOT_AVAILABLE or not tries_left:
                raise
            await connection.rollback()
            say("waiting: a table to change is in use")
        await asyncio.sleep(PAUSE_SECONDS)
    return None


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
