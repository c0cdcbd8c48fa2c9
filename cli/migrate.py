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

from sluice.core.errors import ConfigurationError, SchemaBehind
from sluice.core.settings import DatabaseSettings, load
from sluice.db import migrating
from sluice.db.faults import sqlstate
from sluice.db.schema import HEAD, Found, judge, look
from sluice.db.start import await_postgresql

_LOCK_NOT_AVAILABLE = "55P03"
_TRIES = 6
PAUSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Result:
    """The revisions before and after; `before` is None for an empty database."""

    before: str | None
    after: str | None

    @property
    def changed(self) -> bool:
        """Whether there was anything to do."""
        return self.before != self.after


def _silent(_sentence: str) -> None:
    pass


async def upgrade(database_url: str, *, schema: str = "", say: Callable[[str], None] = _silent) -> Result:
    """Migrate to the newest schema and tell what it was before. A database that is there already costs two reads.

    `schema` is where the tables live; empty: where the search path finds them, or puts new ones. `say` is told, in a
    sentence, what is waited for. Raises ConfigurationError (SchemaAhead among them) for what only a person can mend and
    StoreUnavailable when PostgreSQL stays away for 30 s. Safe to cancel: a migration that has begun is rolled back.
    """
    engine = migrating.make_migration_engine(database_url)
    try:
        await await_postgresql(engine, on_wait=lambda reason: say(f"waiting for PostgreSQL: {reason}"))
        with migrating.migration_in_our_words():
            async with engine.connect() as connection:
                found = await _look(connection, schema)
                if not _behind(found):
                    return Result(found.revision, found.revision)
                async with migrating.migration_lock(
                    connection, on_wait=lambda: say("waiting: another process migrates this database")
                ):
                    found = await _look(connection, schema)
                    if not _behind(found):  # somebody else has migrated it meanwhile
                        return Result(found.revision, found.revision)
                    await _run(connection, schema, say)
                    return Result(found.revision, HEAD)
    finally:
        await engine.dispose()


def run() -> int:
    """The command: migrate the database that DATABASE_URL names and say what happened."""
    from sluice.cli import render

    settings = load(DatabaseSettings)
    url = settings.database_url.get_secret_value()
    result = asyncio.run(upgrade(url, schema=settings.sluice_schema, say=render.note))
    if result.changed:
        render.write_line(f"migrated from {result.before or 'an empty database'} to {result.after}")
    elif result.after == HEAD:
        render.write_line(f"already at {result.after}")
    else:
        render.write_line(f"already at {result.after}, which serves this version (made for {HEAD}) as well")
    return 0


def migrations() -> Path:
    """The folder of env.py and versions/: inside the installed package, else beside alembic.ini in a checkout."""
    spec = find_spec("sluice.db")
    package = Path(next(iter((spec and spec.submodule_search_locations) or ()))).resolve()
    for folder in (package / "migrations", package.parent / "alembic"):
        if (folder / "env.py").is_file():
            return folder
    raise ConfigurationError(f"no migrations in {package / 'migrations'}: install Sluice again")


async def _look(connection: AsyncConnection, schema: str) -> Found:
    found = await connection.run_sync(look, schema)
    await connection.commit()
    return found


def _behind(found: Found) -> bool:
    """Whether there is anything to do; raises SchemaAhead when this code cannot use what was found."""
    try:
        judge(found)
    except SchemaBehind:
        return True
    return False


async def _run(connection: AsyncConnection, schema: str, say: Callable[[str], None]) -> None:
    """Migrate. A table that stays locked for 5 s is let go, so that others get on, and asked for again."""
    for tries_left in reversed(range(_TRIES)):
        try:
            return await connection.run_sync(_upgrade, schema)
        except DBAPIError as error:
            if sqlstate(error) != _LOCK_NOT_AVAILABLE or not tries_left:
                raise
            await connection.rollback()
            say("waiting: a table to change is in use")
        await asyncio.sleep(PAUSE_SECONDS)
    return None


def _upgrade(connection: Connection, schema: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["schema"] = schema
    command.upgrade(config, "head")
