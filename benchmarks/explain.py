"""What one statement of the product costs on a database of ours, as PostgreSQL accounts for it. Changes no row.

Each is run by EXPLAIN ANALYZE on a connection as the product opens them, in a transaction that is rolled back.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.deep import Connection
from sluice.db.browse import Browse
from sluice.db.session import make_engine
from sluice.db.statements import positional

# Without the clock in every node: reading it takes longer than many of the nodes do.
_EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, SUMMARY ON, FORMAT JSON) "
_PARAMETER_TYPES = (
    "SELECT CAST(parameter_types AS text[]) FROM pg_prepared_statements WHERE name = 'explained'"
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of execution, pages touched, and how many of those were not in shared buffers."""

    ms: float
    pages: int
    read: int
    indexes: frozenset[str]

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.ms + other.ms,
            self.pages + other.pages,
            self.read + other.read,
            self.indexes | other.indexes,
        )


NOTHING = Cost(0.0, 0, 0, frozenset())


class Explain:
    """Runs statements by name, and pages of the list as the API asks for them."""

    def __init__(self, driver: Connection, engine: AsyncEngine) -> None:
        self._driver = driver
        self._engine = engine

    async def statement(self, name: str, **values: Any) -> Cost:
        """`db/sql/<name>.sql` with these parameters."""
        sql, names = positional(name)
        return await self.sql(sql, *(values[key] for key in names))

    async def page(self, **wanted: Any) -> Cost:
        """A page of the list, with every query that it takes."""
        pages = _Pages(self._engine)
        await pages.page(**wanted)
        costs = [await self.sql(sql) for sql in pages.asked]
        return sum(costs, NOTHING)

    async def sql(self, sql: str, *values: Any) -> Cost:
        """Any statement, by the plan that it has on the product's connections.

        That is the generic one, which EXPLAIN shows for prepared statements alone.
        """
        await self._driver.execute(f"PREPARE explained AS {sql}")
        transaction = self._driver.transaction()
        await transaction.start()
        try:
            execute = f"EXECUTE explained {await self._literals(values)}"
            found = json.loads(await self._driver.fetchval(_EXPLAIN + execute))[0]
        finally:
            await transaction.rollback()
            await self._driver.execute("DEALLOCATE explained")
        top = found["Plan"]
        return Cost(
            found["Execution Time"],
            top["Shared Hit Blocks"] + top["Shared Read Blocks"],
            top["Shared Read Blocks"],
            frozenset(_indexes(top)),
        )

    async def vacuum(self) -> None:
        """Free what was rolled back. PostgreSQL does so by itself on most pages that it comes to, but not on all."""
        await self._driver.execute("VACUUM (INDEX_CLEANUP OFF) tasks")

    async def _literals(self, values: Sequence[Any]) -> str:
        """The values as EXECUTE takes them: no parameters, so the server itself quotes each."""
        if not values:
            return ""
        types = await self._driver.fetchval(_PARAMETER_TYPES)
        quoted = [
            await self._driver.fetchval(f"SELECT quote_nullable(CAST(CAST($1 AS {type_}) AS text))", value)
            for type_, value in zip(types, values, strict=True)
        ]
        return f"({', '.join(quoted)})"


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Explain]:
    """An Explain on a database of ours."""
    engine = make_engine(url, role="benchmark", pool_size=2)
    try:
        async with engine.connect() as pooled:
            driver = (await pooled.get_raw_connection()).driver_connection
            yield Explain(cast("Connection", driver), engine)
    finally:
        await engine.dispose()


class _Pages(Browse):
    """Keeps what it asks."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine, engine)
        self.asked: list[str] = []

    async def _fetch(self, query: Select[Any]) -> Sequence[Mapping[str, Any]]:
        compiled = query.compile(dialect=dialect(), compile_kwargs={"literal_binds": True})  # type: ignore[no-untyped-call] # SQLAlchemy's
        self.asked.append(str(compiled))
        return await super()._fetch(query)


def _indexes(plan: dict[str, Any]) -> set[str]:
    """The indexes that the plan uses; a table that is read from end to end is named as that."""
    own = {plan["Index Name"]} if "Index Name" in plan else set()
    if plan["Node Type"] == "Seq Scan":
        own.add(f"all of {plan['Relation Name']}")
    return own.union(*(_indexes(below) for below in plan.get("Plans", ())))
