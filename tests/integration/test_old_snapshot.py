"""Looks at what is processing, beside a snapshot that keeps the entry of every try that ended (L4, U2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from sluice.db.session import make_engine
from sluice.db.statements import statement
from tests.integration.filling import ALIVE, DEAD, Connection, Table, task_id
from tests.support.databases import migrated
from tests.support.explaining import DIALECT, explain, work

pytestmark = [pytest.mark.xdist_group("plans"), pytest.mark.timeout(180)]

ENDED = 50_000
RUNNING, ORPHANED = range(ENDED + 1, ENDED + 51), range(ENDED + 51, ENDED + 61)
PAGES = 300
"""Of sixty probes; a walk past what ended touches thousands."""
PLANS = ("force_custom_plan", "force_generic_plan")
_CONSUMERS = """
INSERT INTO consumers (id, host, pid, queues, kinds, capacity, lease_seconds, expires_at)
SELECT id, 'here', 1, '{default}', '{echo}', 100, 30,
       CASE WHEN id = $2 THEN '-infinity' ELSE now() + interval '1 day' END
  FROM unnest($1::uuid[]) AS id
"""


@pytest.fixture(scope="module")
async def table(servers: Any) -> AsyncIterator[Table]:
    """One living consumer that has run very many tasks since somebody began to look at the table, and a dead one."""
    async with migrated(servers.database_url, f"snapshot_{uuid4().hex}") as url:
        connection: Connection = await asyncpg.connect(url)
        looking: Connection = await asyncpg.connect(url)
        engine = make_engine(url, role="test", pool_size=2)
        await connection.execute("ALTER TABLE tasks SET (autovacuum_enabled = off)")
        await connection.execute(_CONSUMERS, [ALIVE, DEAD, uuid4(), uuid4()], DEAD)
        async with engine.connect() as pooled, looking.transaction(isolation="repeatable_read"):
            ours = (await pooled.get_raw_connection()).driver_connection
            assert ours is not None
            found = Table(connection, engine, ours)
            await found.fill("processing", range(1, ENDED + 1), ALIVE)
            await looking.fetchval("SELECT count(*) FROM tasks")
            await connection.execute("UPDATE tasks SET status = 'completed', finished_at = now()")
            await found.fill("processing", RUNNING, ALIVE)
            await found.fill("processing", ORPHANED, DEAD)
            yield found
        await engine.dispose()
        await looking.close()
        await connection.close()


@pytest.mark.parametrize("plan", PLANS)
async def test_which_runs_are_still_on_is_asked_by_their_keys(table: Table, plan: str) -> None:
    runs = {"ids": [task_id(n) for n in RUNNING], "tokens": [0] * len(RUNNING)}
    indexes, looked, pages = await _work(table, "held_among", runs, plan)
    assert (indexes, looked) == ({"pk_tasks"}, len(RUNNING))
    assert pages < PAGES


@pytest.mark.parametrize("plan", PLANS)
async def test_who_looks_for_what_the_dead_held_jumps_over_what_the_living_did(
    table: Table, plan: str
) -> None:
    indexes, looked, pages = await _work(table, "reap_look", {"n": 1000}, plan)
    assert (indexes, looked) == ({"ix_tasks_processing"}, len(ORPHANED))
    assert pages < PAGES


async def test_what_one_consumer_holds_is_found_behind_all_that_it_did(table: Table) -> None:
    """The one look that pays for the past: reconcile rests after it, and a drain begins without it."""
    _, looked, pages = await _work(table, "held", {"consumer_id": ALIVE}, PLANS[0])
    assert looked == len(RUNNING)
    assert pages > ENDED / 50


async def _work(table: Table, name: str, values: dict[str, Any], plan: str) -> tuple[set[str], float, int]:
    compiled = statement(name).compile(dialect=DIALECT)
    return work(await explain(table, str(compiled), values, list(compiled.positiontup or ()), plan))
