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

from core.errors import SluiceError
from core.settings import DatabaseSettings, load
from db.models import Base
from db.schema import make_migration_engine, migration_in_our_words, migration_lock
from db.start import await_postgresql

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


def run(connection: Connection) -> None:
    """Do what the command asks for; each migration in its own transaction."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        transaction_per_migration=True,
        compare_server_default=default_differs,
    )
    with context.begin_transaction():
        context.run_migrations()


def write_sql() -> None:
    """`alembic upgrade head --sql`: the statements on stdout, no connection."""
    context.configure(dialect_name="postgresql", target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


async def run_alone() -> None:
    """The plain `alembic` command: open a connection, hold the lock, run."""
    engine = make_migration_engine(load(DatabaseSettings).database_url.get_secret_value())
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
                await connection.run_sync(run)
    finally:
        await engine.dispose()


if context.config.config_file_name is not None:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)

handed_over = context.config.attributes.get("connection")
if context.is_offline_mode():
    write_sql()
elif handed_over is not None:
    run(handed_over)
else:
    try:
        asyncio.run(run_alone())
    except SluiceError as error:
        raise CommandError(str(error)) from error
