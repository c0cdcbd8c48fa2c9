"""Our names in a database that others use as well: with Alembic themselves, or with tables called like ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from sluice.cli import migrate
from sluice.core.errors import ConfigurationError, SchemaBehind
from sluice.db import schema
from sluice.db.migrating import make_migration_engine
from tests.cli.migrating import alembic_here, check, downgrade, role_of_its_own
from tests.cli.support import Command
from tests.support.databases import connected

BEFORE = ("0001", "0002", "0003")
"""The revisions that were kept in `alembic_version`."""
ENV = """
from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
"""


class Theirs:
    """Somebody else's Alembic, whose revisions are called like ours."""

    def __init__(self, home: Path) -> None:
        self._home = home
        (home / "versions").mkdir(parents=True)
        (home / "env.py").write_text(ENV)
        before: str | None = None
        for revision in schema.REVISIONS:
            (home / "versions" / f"{revision}.py").write_text(
                f"from alembic import op\nrevision, down_revision = {revision!r}, {before!r}\n"
                f"def upgrade():\n    op.execute('CREATE TABLE theirs_{revision} (id int)')\n"
            )
            before = revision

    async def upgrade(self, url: str) -> None:
        """To their newest revision."""

        def run(connection: Connection) -> None:
            config = Config()
            config.set_main_option("script_location", str(self._home))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

        engine = make_migration_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(run)
        await engine.dispose()


@pytest.fixture
def theirs(tmp_path: Path) -> Theirs:
    return Theirs(tmp_path / "theirs")


async def _versions(connection: asyncpg.Connection[Any], table: str) -> list[str] | None:
    if not await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table):
        return None
    rows = await connection.fetch(f"SELECT version_num FROM {table} ORDER BY 1")  # noqa: S608 - a test's own
    return [row[0] for row in rows]


async def _as_before(url: str, revision: str) -> None:
    """Make it the database that the last version with Alembic's own table left at `revision`."""
    await migrate.upgrade(url)
    if revision != schema.HEAD:
        await downgrade(url, revision)
    async with connected(url) as connection:
        await connection.execute(
            "ALTER TABLE sluice_version RENAME TO alembic_version;"
            "ALTER INDEX sluice_version_pkc RENAME TO alembic_version_pkc"
        )


async def test_somebody_elses_alembic_with_the_same_revisions_is_not_in_the_way(
    theirs: Theirs, sluice: Command, empty_database: str
) -> None:
    await theirs.upgrade(empty_database)
    result = await sluice("migrate", DATABASE_URL=empty_database)
    assert (result.status, result.stdout) == (0, f"migrated from an empty database to {schema.HEAD}\n")
    await check(empty_database)
    async with connected(empty_database) as connection:
        assert await _versions(connection, "alembic_version") == [schema.HEAD]


async def test_ours_first_is_not_in_the_way_of_somebody_elses_alembic(
    theirs: Theirs, empty_database: str
) -> None:
    await migrate.upgrade(empty_database)
    await theirs.upgrade(empty_database)
    await check(empty_database)
    async with connected(empty_database) as connection:
        assert await connection.fetchval("SELECT to_regclass('theirs_0001') IS NOT NULL")


@pytest.mark.parametrize("revision", BEFORE)
async def test_a_database_of_before_is_told_by_its_tables_and_its_version_table_taken_over(
    empty_database: str, revision: str
) -> None:
    await _as_before(empty_database, revision)
    with pytest.raises(SchemaBehind, match=r"run `sluice migrate`"):
        await check(empty_database)
    assert (await migrate.upgrade(empty_database)).before == revision
    await check(empty_database)
    async with connected(empty_database) as connection:
        assert await _versions(connection, "alembic_version") is None
        assert await _versions(connection, "sluice_version") == [schema.HEAD]
        assert await connection.fetchval("SELECT to_regclass('alembic_version_pkc') IS NULL")


async def test_plain_alembic_takes_it_over_as_well(alembic: Command, empty_database: str) -> None:
    await _as_before(empty_database, "0002")
    result = await alembic("upgrade", "head", DATABASE_URL=empty_database)
    assert result.status == 0, result.stderr
    await check(empty_database)


@pytest.mark.parametrize("rows", [("ae1027a6acf",), ("0001",), ("0003", "ae1027a6acf"), ()], ids=str)
async def test_a_version_table_that_is_not_ours_any_more_is_left_alone(
    empty_database: str, rows: tuple[str, ...]
) -> None:
    await _as_before(empty_database, "0003")
    async with connected(empty_database) as connection:
        await connection.execute("DELETE FROM alembic_version")
        await connection.executemany("INSERT INTO alembic_version VALUES ($1)", [(row,) for row in rows])
        assert (await migrate.upgrade(empty_database)).before == "0003"
        await check(empty_database)
        assert await _versions(connection, "alembic_version") == sorted(rows)
        assert await _versions(connection, "sluice_version") == [schema.HEAD]


@pytest.mark.parametrize("name", [*schema.TABLES, "sluice_version"])
async def test_a_table_of_somebody_else_is_refused_in_one_line_that_names_the_setting(
    sluice: Command, empty_database: str, name: str
) -> None:
    async with connected(empty_database) as connection:
        await connection.execute(f"CREATE TABLE {name} (id int)")
        told = rf"holds tables of somebody else \({name}\): set SLUICE_SCHEMA"
        with pytest.raises(ConfigurationError, match=told):
            await check(empty_database)
        result = await sluice("migrate", DATABASE_URL=empty_database)
        assert (result.status, len(result.stderr.splitlines())) == (1, 1)
        assert "set SLUICE_SCHEMA" in result.stderr
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 1


async def test_a_table_that_somebody_puts_before_ours_on_the_path_is_told(empty_database: str) -> None:
    await migrate.upgrade(empty_database)
    async with connected(empty_database) as connection:
        await connection.execute("CREATE SCHEMA postgres; CREATE TABLE postgres.tasks (id int)")
    with pytest.raises(ConfigurationError, match=r"tables of somebody else \(tasks\): set SLUICE_SCHEMA"):
        await check(empty_database)


@pytest.mark.parametrize("name", ["jobs", "order", "_0"])
async def test_a_schema_of_our_own_holds_all_of_ours_beside_tables_of_the_same_names(
    sluice: Command, empty_database: str, name: str
) -> None:
    async with connected(empty_database) as connection:
        for table in (*schema.TABLES, "sluice_version", "alembic_version"):
            await connection.execute(f"CREATE TABLE {table} (id int)")
        with pytest.raises(SchemaBehind, match=f"the schema {name} is empty.*run `sluice migrate`"):
            await check(empty_database, name)
        result = await sluice("migrate", DATABASE_URL=empty_database, SLUICE_SCHEMA=name)
        assert (result.status, result.stderr) == (0, "")
        await check(empty_database, name)
        made = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = to_regnamespace($1)::oid",
            f'"{name}"',
        )
        assert {row[0] for row in made} == {*schema.TABLES, "sluice_version"}
        assert await connection.fetchval(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = 'tasks'::regclass"
        )
        assert not (await migrate.upgrade(empty_database, schema=name)).changed


async def test_plain_alembic_makes_the_schema_and_takes_its_tables_away_again(
    alembic: Command, empty_database: str
) -> None:
    made = await alembic("upgrade", "head", DATABASE_URL=empty_database, SLUICE_SCHEMA="jobs")
    assert made.status == 0, made.stderr
    await check(empty_database, "jobs")
    await alembic_here(empty_database, command.check, "jobs")
    await downgrade(empty_database, "base", "jobs")
    with pytest.raises(SchemaBehind, match="the schema jobs is empty"):
        await check(empty_database, "jobs")
    assert (await migrate.upgrade(empty_database, schema="jobs")).changed


async def test_two_installations_live_in_one_database(empty_database: str) -> None:
    for name in ("", "one", "two"):
        assert (await migrate.upgrade(empty_database, schema=name)).changed
    for name in ("", "one", "two"):
        await check(empty_database, name)


async def test_the_statements_that_alembic_writes_do_so(alembic: Command, empty_database: str) -> None:
    written = await alembic("upgrade", "head", "--sql", SLUICE_SCHEMA="jobs")
    assert written.status == 0, written.stderr
    async with connected(empty_database) as connection:
        for each in written.stdout.split(";\n\n")[:-1]:  # an index is built outside of any transaction
            await connection.execute(each)
    await check(empty_database, "jobs")


async def test_a_role_that_may_not_make_the_schema_is_told_what_it_lacks(empty_database: str) -> None:
    async with role_of_its_own(empty_database) as (role, owner, url):
        with pytest.raises(
            ConfigurationError, match=r"grant it CREATE on the database, or create the schema"
        ):
            await migrate.upgrade(url, schema="jobs")
        await owner.execute(f"CREATE SCHEMA jobs AUTHORIZATION {role}")
        assert (await migrate.upgrade(url, schema="jobs")).changed


async def test_a_role_that_may_not_use_the_schema_is_told_what_it_lacks(empty_database: str) -> None:
    await migrate.upgrade(empty_database)  # what the path would find instead
    await migrate.upgrade(empty_database, schema="jobs")
    async with role_of_its_own(empty_database) as (role, owner, url):
        for table in schema.TABLES:
            await owner.execute(f"GRANT ALL ON {table}, jobs.{table} TO {role}")
        await owner.execute(f"GRANT SELECT ON sluice_version, jobs.sluice_version TO {role}")
        with pytest.raises(ConfigurationError, match=r"may not use the schema jobs: grant it USAGE"):
            await check(url, "jobs")
        await owner.execute(f"GRANT USAGE ON SCHEMA jobs TO {role}")
        await check(url, "jobs")


async def test_a_table_that_was_dropped_is_told(empty_database: str) -> None:
    await migrate.upgrade(empty_database)
    async with connected(empty_database) as connection:
        await connection.execute("DROP TABLE upkeep")
    with pytest.raises(ConfigurationError, match="the database lacks upkeep"):
        await check(empty_database)
