"""A large table in the phases of its life, whose statistics are right or wrong."""

from __future__ import annotations

from typing import Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.eventually import eventually

ENDED = 200_000
PENDING = 100_000

Connection: TypeAlias = "asyncpg.Connection[Any]"

INSERT = (
    "INSERT INTO tasks (id, created_at, run_at, kind, queue, priority, max_attempts, timeout, message, status, "
    "finished_at, consumer_id) "
    "SELECT CAST(lpad(to_hex(n), 32, '0') AS uuid), now() - interval '1 day', "
    "now() - interval '1 day' + n * interval '1 ms', 'echo', 'default', 5, 5, 60, 'hello', $3, "
    "CASE WHEN $3 = 'completed' THEN now() - n * interval '1 ms' END, CASE WHEN $3 = 'processing' THEN $4::uuid END "
    "FROM generate_series($1::integer, $2::integer) AS n"
)
ALIVE, DEAD = uuid4(), uuid4()


def task_id(n: int) -> UUID:
    return UUID(int=n)


class Table:
    """The large table, and the ids in each status. `ours` is a connection of `engine`, as our processes open them."""

    def __init__(self, connection: Connection, engine: AsyncEngine, ours: Connection) -> None:
        self.connection = connection
        self.engine = engine
        self.ours = ours
        self.pending = range(0)
        self.processing = range(0)

    async def fill(self, status: str, numbers: range, consumer: UUID | None = None) -> None:
        await self.connection.execute(INSERT, numbers[0], numbers[-1], status, consumer)

    async def analyze(self) -> None:
        await self.connection.execute("ANALYZE tasks")


async def _new(table: Table) -> None:
    """Analyzed while it was empty; everything came after that."""
    await table.analyze()
    table.pending, table.processing = range(1, PENDING + 1), range(PENDING + 1, PENDING + 301)
    await table.fill("pending", table.pending)
    await table.fill("processing", table.processing[:200], ALIVE)
    await table.fill("processing", table.processing[200:], DEAD)


async def _refilled(table: Table) -> None:
    """Analyzed when every task had ended; then new ones came, beside the dead entries of the old ones."""
    await table.connection.execute(
        "UPDATE tasks SET status = 'completed', finished_at = now(), consumer_id = NULL WHERE status = 'pending'"
    )
    await table.connection.execute(
        "UPDATE tasks SET status = 'completed', finished_at = now() WHERE status = 'processing'"
    )
    await table.fill("completed", range(PENDING + 301, ENDED + 1))
    await table.analyze()
    table.pending = range(ENDED + 1, ENDED + PENDING + 1)
    table.processing = range(ENDED + PENDING + 1, ENDED + PENDING + 301)
    await table.fill("pending", table.pending)
    await table.fill("processing", table.processing[:200], ALIVE)
    await table.fill("processing", table.processing[200:], DEAD)


async def _analyzed(table: Table) -> None:
    """As autovacuum leaves it."""
    await table.connection.execute("VACUUM ANALYZE tasks")


async def _drained(table: Table) -> None:
    """Analyzed with a large backlog of which little is left."""
    await table.connection.execute(
        "UPDATE tasks SET status = 'completed', finished_at = now() WHERE status = 'pending' AND id < $1",
        task_id(table.pending[-200]),
    )
    table.pending = table.pending[-200:]


PHASES = {phase.__name__.lstrip("_"): phase for phase in (_new, _refilled, _analyzed, _drained)}


async def nobody_looks_behind(connection: Connection) -> None:
    """Until each transaction of the cluster began after this phase: until then no walk marks its dead entries.

    Another test's that is open makes every walk visit the rows behind them as well.
    """
    ended = await connection.fetchval("SELECT pg_current_xact_id()::text::bigint")

    async def all_later() -> bool:
        oldest = await connection.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        return int(oldest) > int(ended)

    await eventually(all_later, timeout=60)
