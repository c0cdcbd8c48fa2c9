"""Alembic's way in. Decides only where the connection comes from and that one migration runs at a time.

`sluice migrate` hands over a connection that holds the lock already. A plain `alembic upgrade head` has none: the
database is then the one that DATABASE_URL names, and the lock is taken here.
"""

from __future__ import annotations

import asyncio
import logging
from logging.config import fileConfig

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Column, Connection
from sqlalchemy.dialects.postgresql import JSON

from sluice.core.errors import SluiceError
from sluice.core.settings import DatabaseSettings, SchemaSettings, load
from sluice.db.driver import path_with
from sluice.db.migrating import (
    enter,
    make_migration_engine,
    make_room,
    migration_in_our_words,
    migration_lock,
)
from sluice.db.models import Base
from sluice.db.schema import VERSION_TABLE
from sluice.db.start import await_postgresql

log = logging.getLogger("alembic.env")


def default_differs(
    _context: object,
    _found: object,
    column: Column[object],
    in_database: str | None,
    _model: object,
    in_model: str | None,
) -> bool | None:
    """Whether a column's default differs; None lets Alembic ask the server, which has no equality for json."""
    if not isinstance(column.type, JSON):
        return None
    return (in_database or "").removesuffix("::json") != (in_model or "")


def ours(name: str | None, kind: str, _parents: object) -> bool:
    """Whether a comparison looks at what is called like this: tables of somebody else are none of our business."""
    return kind != "table" or name in Base.metadata.tables


def run(connection: Connection, schema: str) -> None:
    """Do what the command asks for; each migration in its own transaction."""
    enter(connection, schema)
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        version_table=VERSION_TABLE,
        version_table_schema=schema or None,
        transaction_per_migration=True,
        compare_server_default=default_differs,
        include_name=ours,
    )
    if not context.get_context().opts.get("dont_mutate"):  # `alembic current` only looks
        make_room(connection, schema)
    with context.begin_transaction():
        context.run_migrations()


def write_sql(schema: str) -> None:
    """`alembic upgrade head --sql`: the statements on stdout, no connection."""
    context.configure(
        dialect_name="postgresql",
        target_metadata=Base.metadata,
        version_table=VERSION_TABLE,
        version_table_schema=schema or None,
        literal_binds=True,
    )
    with context.begin_transaction():
        if schema:
            context.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
            context.execute(f"SELECT set_config('search_path', {path_with(schema)}, false)")
        context.run_migrations()


async def run_alone() -> None:
    """The plain `alembic` command: open a connection, hold the lock, run."""
    settings = load(DatabaseSettings)
    engine = make_migration_engine(settings.database_url.get_secret_value())
    try:
        await await_postgresql(
            engine, on_wait=lambda reason: log.warning("waiting for PostgreSQL: %s", reason)
        )
        with migration_in_our_words():
            async with (
                engine.connect() as connection,
                migration_lock(
                    connection, on_wait=lambda: log.warning("another migration runs; waiting for it")
                ),
            ):
                await connection.run_sync(run, settings.sluice_schema)
    finally:
        await engine.dispose()


if context.config.config_file_name is not None:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)

handed_over = context.config.attributes.get("connection")
if context.is_offline_mode():
    write_sql(load(SchemaSettings).sluice_schema)
elif handed_over is not None:
    run(handed_over, context.config.attributes["schema"])
else:
    try:
        asyncio.run(run_alone())
    except SluiceError as error:
        raise CommandError(str(error)) from error
