from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from cli import migrate
from core.errors import ConfigurationError, SchemaAhead, SchemaBehind
from db import schema
from db.models import Base
from db.session import make_engine
from tests.cli.support import Command, all_ended
from tests.support.proxy import proxied

ROOT = Path(__file__).parents[2]
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


@pytest.fixture
def alembic(tmp_path: Path) -> Command:
    return Command(tmp_path, ("-m", "alembic", "-c", str(ROOT / "alembic.ini")))


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection: asyncpg.Connection[Any] = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _shape(url: str) -> list[tuple[str, ...]]:
    """Every column, index, constraint and storage parameter of our tables, as PostgreSQL itself words them."""
    ours = (
        "WITH ours AS (SELECT * FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
    )
    async with _connected(url) as connection:
        return [
            tuple(row) for row in await connection.fetch(ours + "AND relname <> 'alembic_version')" + SHAPE)
        ]


async def _check(url: str) -> None:
    engine = make_engine(url, role="test", pool_size=1)
    try:
        await schema.check(engine)
    finally:
        await engine.dispose()


async def test_an_empty_database_is_migrated_once_and_then_left_alone(
    sluice: Command, empty_database: str
) -> None:
    first = await sluice("migrate", DATABASE_URL=empty_database)
    second = await sluice("migrate", DATABASE_URL=empty_database)
    assert (first.status, first.stdout) == (0, f"migrated from an empty database to {schema.HEAD}\n")
    assert (second.status, second.stdout) == (0, f"already at {schema.HEAD}\n")
    await _check(empty_database)


async def test_of_three_migrations_at_once_one_migrates_and_two_wait_for_it(
    sluice: Command, empty_database: str
) -> None:
    async with _connected(empty_database) as other:
        await other.execute("SELECT pg_advisory_lock($1)", schema.LOCK)
        processes = [await sluice.start("migrate", env={"DATABASE_URL": empty_database}) for _ in range(3)]
        for process in processes:
            assert process.stderr is not None
            async with asyncio.timeout(50):
                assert await process.stderr.readline() == b"waiting: another process migrates this database\n"
        await other.execute("SELECT pg_advisory_unlock($1)", schema.LOCK)
        results = await all_ended(processes)
    assert [(result.status, result.stderr) for result in results] == [(0, "")] * 3
    done = sorted(result.stdout for result in results)
    assert done == [f"already at {schema.HEAD}\n"] * 2 + [
        f"migrated from an empty database to {schema.HEAD}\n"
    ]


async def test_a_database_that_is_there_already_waits_for_no_lock(empty_database: str) -> None:
    await migrate.upgrade(empty_database)
    async with _connected(empty_database) as other:
        await other.execute("SELECT pg_advisory_lock($1)", schema.LOCK)
        said: list[str] = []
        async with asyncio.timeout(10):
            assert not (await migrate.upgrade(empty_database, say=said.append)).changed
    assert said == []


async def test_plain_alembic_takes_the_same_lock(alembic: Command, empty_database: str) -> None:
    async with _connected(empty_database) as other:
        await other.execute("SELECT pg_advisory_lock($1)", schema.LOCK)
        process = await alembic.start("upgrade", "head", env={"DATABASE_URL": empty_database})
        assert process.stderr is not None
        async with asyncio.timeout(50):
            while b"another migration runs; waiting for it" not in await process.stderr.readline():
                assert not process.stderr.at_eof()
        await other.execute("SELECT pg_advisory_unlock($1)", schema.LOCK)
        [result] = await all_ended([process])
    assert result.status == 0
    await _check(empty_database)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("/empty_", "/nowhere_", r"database \"nowhere_\w+\" does not exist; set DATABASE_URL"),
        ("//postgres@", "//nobody_here@", r'role "nobody_here" does not exist; set DATABASE_URL'),
    ],
)
async def test_plain_alembic_tells_in_one_line_what_a_person_must_mend(
    alembic: Command, empty_database: str, before: str, after: str, told: str
) -> None:
    result = await alembic("upgrade", "head", DATABASE_URL=empty_database.replace(before, after, 1))
    assert result.status not in {0, 2}
    for said in (result.stdout, result.stderr):  # Alembic prints it, and logs it
        [line] = said.splitlines()
        assert re.search(told, line), line


async def test_plain_alembic_waits_for_a_postgresql_that_is_away(
    alembic: Command, empty_database: str
) -> None:
    async with proxied(empty_database) as proxy:
        await proxy.close()
        process = await alembic.start("upgrade", "head", env={"DATABASE_URL": proxy.url})
        assert process.stderr is not None
        async with asyncio.timeout(50):
            assert b"waiting for PostgreSQL: " in await process.stderr.readline()
        await proxy.open()
        [result] = await all_ended([process])
    assert result.status == 0
    assert "Traceback" not in result.stderr
    await _check(empty_database)


async def test_the_lock_is_free_again_after_a_migration_that_failed(empty_database: str) -> None:
    async with _connected(empty_database) as connection:
        await connection.execute("CREATE TABLE tasks (mine int)")
        with pytest.raises(Exception, match="holds tables of somebody else"):
            await migrate.upgrade(empty_database)
        assert await connection.fetchval("SELECT pg_try_advisory_lock($1)", schema.LOCK)
        assert await connection.fetchval("SELECT to_regclass('kinds') IS NULL")


async def test_a_table_in_use_is_let_go_and_asked_for_again(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(migrate, "PAUSE_SECONDS", 0.05)
    async with _connected(empty_database) as other, asyncio.TaskGroup() as group:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("CREATE TABLE tasks (not_committed int)")
        said: asyncio.Queue[str] = asyncio.Queue()
        migration = group.create_task(migrate.upgrade(empty_database, say=said.put_nowait))
        assert await said.get() == "waiting: a table to change is in use"
        await transaction.rollback()
    assert migration.result().changed


async def test_a_database_behind_is_told_to_migrate(empty_database: str) -> None:
    with pytest.raises(SchemaBehind, match=r"is empty.*run `sluice migrate`"):
        await _check(empty_database)


async def test_a_database_ahead_names_its_revision_and_what_mends_it(
    sluice: Command, empty_database: str
) -> None:
    await migrate.upgrade(empty_database)
    async with _connected(empty_database) as connection:
        await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaAhead, match="9999"):
        await _check(empty_database)
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
    engine = schema.make_migration_engine(empty_database)
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


@asynccontextmanager
async def _role(database: str) -> AsyncIterator[tuple[str, asyncpg.Connection[Any], str]]:
    """A role of its own, somebody who may grant it something, and the database's URL for it."""
    role = "r_" + database.partition("?")[0].rpartition("_")[2]
    async with _connected(database) as owner:
        await owner.execute(f"CREATE ROLE {role} LOGIN")
        try:
            yield role, owner, database.replace("//postgres@", f"//{role}@")
        finally:
            await owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_role_that_may_not_create_tables_is_told_what_it_lacks(
    alembic: Command, empty_database: str
) -> None:
    async with _role(empty_database) as (_, owner, url):
        await owner.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        with pytest.raises(Exception, match=r"permission denied for schema public; grant it CREATE"):
            await migrate.upgrade(url)
        result = await alembic("upgrade", "head", DATABASE_URL=url)
    assert "Traceback" not in result.stderr
    assert "permission denied for schema public; grant it CREATE" in (result.stdout + result.stderr)


async def test_a_role_that_may_not_use_the_tables_is_told_what_it_lacks(empty_database: str) -> None:
    await migrate.upgrade(empty_database)
    async with _role(empty_database) as (role, owner, url):
        with pytest.raises(
            ConfigurationError, match=r"may not use consumers, .*alembic_version: grant it SELECT"
        ):
            await _check(url)
        await owner.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        with pytest.raises(ConfigurationError, match=r"may not use consumers, kinds, tasks, upkeep: grant"):
            await _check(url)
        await owner.execute(f"GRANT INSERT, UPDATE, DELETE ON consumers, kinds, tasks, upkeep TO {role}")
        await _check(url)
