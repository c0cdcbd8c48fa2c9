"""The check of the schema that every process makes, and roles that may not do everything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from cli.migrate import migrations
from db import schema
from db.migrating import make_migration_engine
from db.session import make_engine
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


async def downgrade(url: str, revision: str) -> None:
    """What `alembic downgrade` does, without a process of its own."""

    def run(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(migrations()))
        config.attributes.update(connection=connection, schema="")
        command.downgrade(config, revision)

    engine = make_migration_engine(url)
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()
