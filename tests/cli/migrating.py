"""The check of the schema that every process makes, and roles that may not do everything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import StringIO
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from sluice.cli.migrate import migrations
from sluice.db import schema
from sluice.db.migrating import make_migration_engine
from sluice.db.session import make_engine
from tests.support.databases import connected


async def check(url: str, name: str = "") -> None:
    engine = make_engine(url, role="test", pool_size=1, schema=name)
    try:
        await schema.check(engine, name)
    finally:
        await engine.dispose()


@asynccontextmanager
async def role_of_its_own(database: str) -> AsyncIterator[tuple[str, asyncpg.Connection[Any], str]]:
    """A role, somebody who may grant it something, and the database's URL for it."""
    role = "r_" + database.partition("?")[0].rpartition("_")[2]
    async with connected(database) as owner:
        await owner.execute(f"CREATE ROLE {role} LOGIN")
        try:
            yield role, owner, database.replace("//postgres@", f"//{role}@")
        finally:
            await owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def alembic_here(url: str, act: Callable[[Config], None], name: str = "") -> None:
    """What `alembic` does with our migrations, without a process of its own."""

    def run(connection: Connection) -> None:
        config = Config(stdout=StringIO())
        config.set_main_option("script_location", str(migrations()))
        config.attributes.update(connection=connection, schema=name)
        act(config)

    engine = make_migration_engine(url)
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


async def downgrade(url: str, revision: str, name: str = "") -> None:
    """`alembic downgrade`."""
    await alembic_here(url, lambda config: command.downgrade(config, revision), name)
