"""What a handler leaves on the session behind ctx.session(), and where its completion finds our table meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from sluice import Context
from sluice.core.task import Status
from tests.support.stores import Stores
from tests.support.workbench import workbench

SEES = """
SELECT current_setting('search_path'), current_setting('statement_timeout'),
       current_setting('synchronous_commit'), nullif(current_setting('shop.tenant', true), ''),
       CAST(to_regclass('pg_temp.leftover') AS text),
       (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'),
       (SELECT count(*) FROM pg_listening_channels()), (SELECT count(*) FROM pg_cursors WHERE is_holdable)
"""
LEAVES = (
    "SET search_path = pg_catalog",
    "SET synchronous_commit = off",
    "SET shop.tenant = '7'",
    "CREATE TEMP TABLE leftover AS SELECT 1 AS one",
    "SELECT pg_advisory_lock(7)",
    "LISTEN shop",
    "DECLARE still CURSOR WITH HOLD FOR SELECT 1",
)


@pytest.mark.parametrize("statement", [*LEAVES, "RESET ALL"])
async def test_what_one_handler_leaves_no_other_finds(
    stores: Stores, database_url: str, statement: str
) -> None:
    seen: list[Any] = []

    async def looks_then_leaves(ctx: Context, payload: dict[str, Any]) -> int:
        session = await ctx.session()
        seen.append((await session.execute(text(SEES))).one())
        pid: int = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        await session.execute(text(statement))
        return pid

    async with workbench(stores, database_url, looks_then_leaves, pool_size=1) as bench:
        rows = [await bench.run() for _ in range(2)]
    assert [row.status for row in rows] == [Status.COMPLETED] * 2
    assert rows[0].result == rows[1].result, "they had one connection"
    assert seen[0] == seen[1]


@pytest.mark.parametrize("scope", ["LOCAL", "SESSION"])
async def test_a_handlers_own_search_path_hides_its_row_from_nobody(
    stores: Stores, database_url: str, scope: str
) -> None:
    await stores.raw.execute(
        "CREATE SCHEMA tenant; CREATE TABLE tenant.tasks (title text); CREATE TABLE tenant.at_commit (path text);"
        "CREATE FUNCTION tenant.note() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO at_commit VALUES (current_setting('search_path')); RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER note AFTER INSERT ON tenant.tasks DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION tenant.note()"
    )

    async def writes_as_tenant(ctx: Context, payload: dict[str, Any]) -> None:
        session = await ctx.session()
        await session.execute(text(f"SET {scope} search_path = tenant"))
        await session.execute(text("INSERT INTO tasks VALUES ('theirs')"))

    try:
        async with workbench(stores, database_url, writes_as_tenant) as bench:
            row = await bench.run()
        assert (row.status, row.attempt) == (Status.COMPLETED, 1), row.error
        assert await stores.raw.fetchval("SELECT string_agg(path, ',') FROM tenant.at_commit") == "tenant"
    finally:
        await stores.raw.execute("DROP SCHEMA tenant CASCADE")
