"""What PostgreSQL did to run a statement: the plan of one run, and the work that is told in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Protocol, cast

import asyncpg
from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.sql.compiler import SQLCompiler

from sluice.db.statements import statement
from sluice.db.tasks import GET, GET_MANY

DIALECT = dialect()  # type: ignore[no-untyped-call] # SQLAlchemy's


def compiled_for(name: str) -> SQLCompiler:
    """A statement of ours as the driver gets it: of db/sql, or of db/tasks.py."""
    ours: dict[str, ClauseElement] = {"get": GET, "get_many": GET_MANY}
    query = ours[name] if name in ours else statement(name)
    return cast("SQLCompiler", query.compile(dialect=DIALECT))


def order(compiled: SQLCompiler) -> list[str]:
    """The names of its parameters, by their numbers."""
    return list(compiled.positiontup or ())


class Table(Protocol):
    """A table in some state, and a connection as our processes open them."""

    @property
    def ours(self) -> asyncpg.Connection[Any]: ...


async def explain(
    table: Table, sql: str, values: dict[str, Any], order: list[str], plan: str
) -> dict[str, Any]:
    """What one run did, after a first one that left its hint bits behind; both rolled back."""
    connection = table.ours
    literals = ", ".join(_literal(values[name]) for name in order)
    found: Any = None
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(f"SET LOCAL plan_cache_mode = {plan}")
        await connection.execute(f"PREPARE asked AS {sql}")
        for _ in range(2):
            savepoint = connection.transaction()
            await savepoint.start()
            found = await connection.fetchval(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE asked{f'({literals})' if order else ''}"
            )
            await savepoint.rollback()
    finally:
        await transaction.rollback()
        await connection.execute("DEALLOCATE asked")
    explained: dict[str, Any] = json.loads(found)[0]["Plan"]
    return explained


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return "'{" + ",".join("NULL" if item is None else f'"{item}"' for item in value) + "}'"
    return str(value) if isinstance(value, int | float) else f"'{value}'"


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def work(plan: dict[str, Any]) -> tuple[set[str], float, int]:
    """The indexes of `tasks` that were used ('a seq scan' for none), the rows looked at, the pages touched."""
    indexes: set[str] = set()
    looked = 0.0
    for node in nodes(plan):
        name = node.get("Index Name", "")
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "tasks":
            indexes.add("a seq scan")
        elif "tasks" in name:
            indexes.add(name)
        else:
            continue
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        looked += (node["Actual Rows"] + removed) * node["Actual Loops"]
    return indexes, looked, plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
