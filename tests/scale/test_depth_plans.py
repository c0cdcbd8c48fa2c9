"""More than twice as many rows and hardly a page more: a statement costs the same however deep the table is.

Both depths are such that their indexes have as many levels: one level more is a page more for each probe.
"""

from __future__ import annotations

from statistics import median
from typing import Any, TypeAlias
from uuid import uuid4

import asyncpg
import pytest

from benchmarks.deep import ENDED, LATER, QUEUED
from benchmarks.depth_costs import asks, measure, prepare
from benchmarks.explain import Cost, opened
from benchmarks.handlers import KIND
from tests.support.databases import migrated

pytestmark = pytest.mark.timeout(300)  # half a million rows are made first

SHALLOW, DEEP = 75_000, 160_000
HAS_UUIDV7 = 180_000
MORE = 1.1
SPARE = 20
"""Pages: where a batch lies among the leaves is chance."""
FILLS = {"backlog": (QUEUED, LATER), "history": (ENDED,)}

Connection: TypeAlias = "asyncpg.Connection[Any]"
Costs: TypeAlias = dict[tuple[str, str], list[Cost]]


async def _fill(connection: Connection, rows: int, *inserts: str) -> None:
    for insert in inserts:
        n = rows // 10 if insert == LATER else rows
        await connection.execute(insert, 1, n, KIND, "hello", "{}", n)


async def _costs(url: str, workload: str, rows: int) -> Costs:
    async with migrated(url, f"depth_{uuid4().hex}") as own:
        connection: Connection = await asyncpg.connect(own)
        try:
            await connection.execute("ALTER TABLE tasks SET (autovacuum_enabled = off)")
            await _fill(connection, rows, *FILLS[workload])
            given = await prepare(connection)
        finally:
            await connection.close()
        async with opened(own) as explain:
            return {
                (workload, name): await measure(ask, explain, given) for name, ask in asks(workload).items()
            }


@pytest.fixture(scope="module")
async def depths(servers: Any) -> tuple[Costs, Costs]:
    connection: Connection = await asyncpg.connect(servers.database_url)
    version = int(await connection.fetchval("SHOW server_version_num"))
    await connection.close()
    if version < HAS_UUIDV7:
        pytest.skip("the rows are made by uuidv7(), which this PostgreSQL does not have")
    shallow: Costs = {}
    deep: Costs = {}
    for workload in FILLS:
        shallow |= await _costs(servers.database_url, workload, SHALLOW)
        deep |= await _costs(servers.database_url, workload, DEEP)
    return shallow, deep


@pytest.mark.parametrize(
    ("workload", "name"), [(workload, name) for workload in FILLS for name in asks(workload)]
)
async def test_a_statement_touches_no_more_pages_at_depth(
    depths: tuple[Costs, Costs], workload: str, name: str
) -> None:
    shallow, deep = (found[workload, name] for found in depths)
    few, many = (median(cost.pages for cost in costs) for costs in (shallow, deep))
    assert many <= MORE * few + SPARE
    assert not [index for cost in deep for index in cost.indexes if index.startswith("all of tasks")]
