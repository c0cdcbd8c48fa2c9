from __future__ import annotations

import asyncio
import re

import pytest

from sluice.cli import migrate
from sluice.db import migrating, schema
from tests.cli.migrating import check
from tests.cli.support import Command, all_ended
from tests.support.databases import connected
from tests.support.proxy import proxied


async def test_an_empty_database_is_migrated_once_and_then_left_alone(
    sluice: Command, empty_database: str
) -> None:
    first = await sluice("migrate", DATABASE_URL=empty_database)
    second = await sluice("migrate", DATABASE_URL=empty_database)
    assert (first.status, first.stdout) == (0, f"migrated from an empty database to {schema.HEAD}\n")
    assert (second.status, second.stdout) == (0, f"already at {schema.HEAD}\n")
    await check(empty_database)


async def test_of_three_migrations_at_once_one_migrates_and_two_wait_for_it(
    sluice: Command, empty_database: str
) -> None:
    async with connected(empty_database) as other:
        await other.execute("SELECT pg_advisory_lock($1)", migrating.LOCK)
        processes = [await sluice.start("migrate", env={"DATABASE_URL": empty_database}) for _ in range(3)]
        for process in processes:
            assert process.stderr is not None
            async with asyncio.timeout(50):
                assert await process.stderr.readline() == b"waiting: another process migrates this database\n"
        await other.execute("SELECT pg_advisory_unlock($1)", migrating.LOCK)
        results = await all_ended(processes)
    assert [(result.status, result.stderr) for result in results] == [(0, "")] * 3
    done = sorted(result.stdout for result in results)
    assert done == [f"already at {schema.HEAD}\n"] * 2 + [
        f"migrated from an empty database to {schema.HEAD}\n"
    ]


async def test_a_database_that_is_there_already_waits_for_no_lock(empty_database: str) -> None:
    await migrate.upgrade(empty_database)
    async with connected(empty_database) as other:
        await other.execute("SELECT pg_advisory_lock($1)", migrating.LOCK)
        said: list[str] = []
        async with asyncio.timeout(10):
            assert not (await migrate.upgrade(empty_database, say=said.append)).changed
    assert said == []


async def test_plain_alembic_takes_the_same_lock(alembic: Command, empty_database: str) -> None:
    async with connected(empty_database) as other:
        await other.execute("SELECT pg_advisory_lock($1)", migrating.LOCK)
        process = await alembic.start("upgrade", "head", env={"DATABASE_URL": empty_database})
        assert process.stderr is not None
        async with asyncio.timeout(50):
            while b"another migration runs; waiting for it" not in await process.stderr.readline():
                assert not process.stderr.at_eof()
        await other.execute("SELECT pg_advisory_unlock($1)", migrating.LOCK)
        [result] = await all_ended([process])
    assert result.status == 0
    await check(empty_database)


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
    await check(empty_database)


async def test_the_lock_is_free_again_after_a_migration_that_failed(empty_database: str) -> None:
    async with connected(empty_database) as connection:
        await connection.execute("CREATE TABLE mine (id int); CREATE INDEX pk_tasks ON mine (id)")
        with pytest.raises(Exception, match=r"tables of somebody else.*pk_tasks.*set SLUICE_SCHEMA"):
            await migrate.upgrade(empty_database)
        assert await connection.fetchval("SELECT pg_try_advisory_lock($1)", migrating.LOCK)
        assert await connection.fetchval("SELECT to_regclass('kinds') IS NULL")


async def test_a_table_in_use_is_let_go_and_asked_for_again(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(migrate, "PAUSE_SECONDS", 0.05)
    async with connected(empty_database) as other, asyncio.TaskGroup() as group:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("CREATE TABLE tasks (not_committed int)")
        said: asyncio.Queue[str] = asyncio.Queue()
        migration = group.create_task(migrate.upgrade(empty_database, say=said.put_nowait))
        assert await said.get() == "waiting: a table to change is in use"
        await transaction.rollback()
    assert migration.result().changed
