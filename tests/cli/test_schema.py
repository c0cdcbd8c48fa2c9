from __future__ import annotations

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from sluice.cli import migrate
from sluice.core.errors import ConfigurationError, SchemaAhead, SchemaBehind
from sluice.db import migrating, schema
from sluice.db.models import Base
from tests.cli.migrating import check, role_of_its_own
from tests.cli.support import Command
from tests.support.databases import connected

SHAPE = """
    SELECT 'column', attrelid::regclass::text, attnum::text, concat_ws(' ', attname, format_type(atttypid, atttypmod),
           CASE WHEN attnotnull THEN 'not null' END, pg_get_expr(adbin, adrelid))
      FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
     WHERE attrelid IN (SELECT oid FROM ours) AND attnum > 0
    UNION ALL
    SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE tablename IN (SELECT relname FROM ours)
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
      FROM pg_constraint WHERE conrelid IN (SELECT oid FROM ours)
    UNION ALL
    SELECT 'options', relname, '', reloptions::text FROM ours
    ORDER BY 1, 2, 3
"""


async def _shape(url: str) -> list[tuple[str, ...]]:
    """Every column, index, constraint and storage parameter of our tables, as PostgreSQL itself words them."""
    ours = (
        "WITH ours AS (SELECT * FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
    )
    async with connected(url) as connection:
        return [
            tuple(row) for row in await connection.fetch(ours + "AND relname <> 'sluice_version')" + SHAPE)
        ]


async def test_a_database_behind_is_told_to_migrate(empty_database: str) -> None:
    with pytest.raises(SchemaBehind, match=r"is empty.*run `sluice migrate`"):
        await check(empty_database)


@pytest.mark.parametrize("revision", ["0999", f"{schema.HEAD[0]}{int(schema.HEAD[1:]) + 1:03}"])
async def test_a_database_ahead_of_the_same_major_serves_this_version(
    sluice: Command, empty_database: str, revision: str
) -> None:
    """The newer version migrates first: what restarts before it is replaced must come up again."""
    await migrate.upgrade(empty_database)
    async with connected(empty_database) as connection:
        await connection.execute("UPDATE sluice_version SET version_num = $1", revision)
    await check(empty_database)
    result = await sluice("migrate", DATABASE_URL=empty_database)
    assert (result.status, result.stderr) == (0, "")
    assert (
        result.stdout
        == f"already at {revision}, which serves this version (made for {schema.HEAD}) as well\n"
    )


async def test_a_database_of_another_major_names_its_revision_and_what_mends_it(
    sluice: Command, empty_database: str
) -> None:
    await migrate.upgrade(empty_database)
    async with connected(empty_database) as connection:
        await connection.execute("UPDATE sluice_version SET version_num = '9999'")
    with pytest.raises(SchemaAhead, match="9999"):
        await check(empty_database)
    result = await sluice("migrate", DATABASE_URL=empty_database)
    assert result.status == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "9999" in result.stderr
    assert "install the version of Sluice that migrated it" in result.stderr


async def test_the_migrations_make_exactly_the_models(empty_database: str, alembic: Command) -> None:
    await migrate.upgrade(empty_database)
    checked = await alembic("check", DATABASE_URL=empty_database)
    assert checked.status == 0, checked.stderr
    migrated = await _shape(empty_database)
    engine = migrating.make_migration_engine(empty_database)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()
    assert {kind for kind, *_ in migrated} == {"column", "index", "constraint", "options"}
    assert migrated == await _shape(empty_database)


async def test_the_tables_whose_use_is_checked_are_those_of_the_models() -> None:
    assert set(schema.TABLES) == set(Base.metadata.tables)


async def test_the_way_back_leaves_nothing_of_ours(empty_database: str, alembic: Command) -> None:
    await migrate.upgrade(empty_database)
    assert (await alembic("downgrade", "base", DATABASE_URL=empty_database)).status == 0
    assert await _shape(empty_database) == []
    assert (await migrate.upgrade(empty_database)).changed


async def test_the_revisions_are_those_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.migrations()))
    scripts = ScriptDirectory.from_config(config)
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == schema.REVISIONS
    assert scripts.get_heads() == [schema.HEAD]


async def test_a_role_that_may_not_create_tables_is_told_what_it_lacks(
    alembic: Command, empty_database: str
) -> None:
    async with role_of_its_own(empty_database) as (_, owner, url):
        await owner.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        with pytest.raises(Exception, match=r"permission denied for schema public; grant it CREATE"):
            await migrate.upgrade(url)
        result = await alembic("upgrade", "head", DATABASE_URL=url)
    assert "Traceback" not in result.stderr
    assert "permission denied for schema public; grant it CREATE" in (result.stdout + result.stderr)


async def test_a_role_that_may_not_use_the_tables_is_told_what_it_lacks(empty_database: str) -> None:
    await migrate.upgrade(empty_database)
    async with role_of_its_own(empty_database) as (role, owner, url):
        with pytest.raises(
            ConfigurationError, match=r"may not use consumers, .*sluice_version, .*: grant it SELECT"
        ):
            await check(url)
        await owner.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        with pytest.raises(ConfigurationError, match=r"may not use consumers, kinds, tasks, upkeep: grant"):
            await check(url)
        await owner.execute(f"GRANT INSERT, UPDATE, DELETE ON consumers, kinds, tasks, upkeep TO {role}")
        await check(url)
