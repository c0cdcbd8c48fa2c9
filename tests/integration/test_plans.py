"""How PostgreSQL runs the hot statements on a large table, also when its statistics are wrong (DESIGN 4).

Measured as work done, not as cost guessed: each statement is run (and rolled back) under EXPLAIN ANALYZE, once with a
plan for these parameters and once with the generic plan that a prepared statement gets; how many rows and pages it
touched must follow from what it was asked for, not from how large the table is.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncEngine

from core.task import PRIORITIES, Kind, Status, TaskId
from db.browse import WINDOW, Browse
from db.session import Database, make_engine
from db.statements import statement
from tests.support.databases import migrated
from tests.support.eventually import eventually

pytestmark = pytest.mark.xdist_group("plans")

ENDED = 200_000
PENDING = 100_000
BATCH = 50
DEAD_PAGES = 2500
"""Leaves of a partial index whose entries are dead: a walk steps over them until they are vacuumed."""
PLANS = ("force_custom_plan", "force_generic_plan")
PRIMARY_KEY = "pk_tasks"
READY = "ix_tasks_ready"
DELAYED = "ix_tasks_delayed"
PROCESSING = "ix_tasks_processing"

DIALECT = dialect()  # type: ignore[no-untyped-call] # SQLAlchemy's
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


def _id(n: int) -> UUID:
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
        _id(table.pending[-200]),
    )
    table.pending = table.pending[-200:]


PHASES = {phase.__name__.lstrip("_"): phase for phase in (_new, _refilled, _analyzed, _drained)}


@pytest.fixture(scope="module")
async def large(servers: Any) -> AsyncIterator[Table]:
    """An empty table whose statistics nobody renews."""
    async with migrated(servers.database_url, f"plans_{uuid4().hex}") as url:
        connection: Connection = await asyncpg.connect(url)
        engine = make_engine(url, role="test", pool_size=2)
        await connection.execute("ALTER TABLE tasks SET (autovacuum_enabled = off)")
        await connection.execute(
            "INSERT INTO consumers (id, host, pid, queues, kinds, capacity, lease_seconds, expires_at) "
            "VALUES ($1, 'here', 1, '{default}', '{echo}', 100, 30, now() + interval '1 day')",
            ALIVE,
        )
        async with engine.connect() as pooled:
            ours = (await pooled.get_raw_connection()).driver_connection
            assert ours is not None
            yield Table(connection, engine, ours)
        await engine.dispose()
        await connection.close()


@pytest.fixture(scope="module", params=list(PHASES))
async def table(large: Table, request: pytest.FixtureRequest) -> Table:
    """The table after the phases up to this one."""
    await PHASES[request.param](large)
    await _nobody_looks_behind(large.connection)
    return large


async def _nobody_looks_behind(connection: Connection) -> None:
    """Until each transaction of the cluster began after this phase: until then no walk marks its dead entries.

    Another test's that is open makes every walk visit the rows behind them as well.
    """
    ended = await connection.fetchval("SELECT pg_current_xact_id()::text::bigint")

    async def all_later() -> bool:
        oldest = await connection.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        return int(oldest) > int(ended)

    await eventually(all_later, timeout=60)


async def _explain(
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
        return "'{" + ",".join("NULL" if item is None else str(item) for item in value) + "}'"
    return str(value) if isinstance(value, int | float) else f"'{value}'"


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


def _work(plan: dict[str, Any]) -> tuple[set[str], float, int]:
    """The indexes of `tasks` that were used ('a seq scan' for none), the rows looked at, the pages touched."""
    indexes: set[str] = set()
    looked = 0.0
    for node in _nodes(plan):
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


def _spread(numbers: range) -> list[UUID]:
    """A batch from all over the range, as the ids of a list are."""
    return [_id(n) for n in numbers[:: max(1, len(numbers) // BATCH)][:BATCH]]


LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
LIST: dict[str, Any] = {"queue": "default", "priority": 5}
EVERY_LIST: dict[str, Any] = {"queues": ["default"] * 10, "priorities": list(reversed(PRIORITIES))}


def _asked(name: str, table: Table) -> tuple[dict[str, Any], set[str], float]:
    """A statement's parameters, the indexes it may use, and the rows it may look at."""
    pending, processing = _spread(table.pending), _spread(table.processing)
    fenced: dict[str, Any] = {"ids": processing, "tokens": [0] * len(processing)}
    start: dict[str, Any] = {"consumer_id": uuid4(), "kinds": ["echo"]}
    after: dict[str, Any] = {"after_run_at": LONG_AGO, "after_id": _id(0)}
    everything = len(table.processing)
    by_key = {PRIMARY_KEY}
    return {
        "claim": ({**start, "ids": pending}, by_key, 2 * BATCH),
        "finish": ({**fenced, "results": ["1"] * BATCH}, by_key, BATCH),
        "fail": (
            {**fenced, "types": ["E"] * BATCH, "messages": ["m"] * BATCH, "delays": [None] * BATCH},
            by_key,
            BATCH,
        ),
        "give_back": ({**fenced, "delays": [0.0] * BATCH}, by_key, BATCH),
        "reap": ({**fenced, "spread": 1.0, "poisoned": 3}, by_key, 2 * BATCH),
        "cancel": ({"id": pending[0]}, by_key, 1),
        "get": ({"id": pending[0]}, by_key, 1),
        "get_many": ({"ids": pending}, by_key, BATCH),
        "ready_among": ({**LIST, "ids": pending}, by_key, BATCH),
        "claim_ready": ({**start, **EVERY_LIST, "n": BATCH, "skip": 0}, {READY, PRIMARY_KEY}, 2 * BATCH + 1),
        "republish_chunk": ({**LIST, **after, "watermark": None, "slack": 3.0, "n": BATCH}, {READY}, BATCH),
        "ready_lists": ({}, {READY}, 3),
        "promote_due": ({**after, "n": BATCH}, {DELAYED}, BATCH),
        "promote_next": ({}, {DELAYED}, 1),
        "depths": ({"queues": ["default"], "cap": BATCH}, {READY}, BATCH),
        "reap_look": ({"n": 1000}, {PROCESSING}, everything),
        "held": ({"consumer_id": ALIVE}, {PROCESSING}, everything),
        "prune": ({"age": 60.0, "n": BATCH}, {"ix_tasks_finished", PRIMARY_KEY}, 2 * BATCH),
    }[name]


NAMES = (
    *("claim", "finish", "fail", "give_back", "cancel", "get", "get_many", "held", "claim_ready"),
    *(
        "ready_lists",
        "ready_among",
        "republish_chunk",
        "promote_due",
        "promote_next",
        "reap_look",
        "reap",
        "prune",
    ),
    "depths",
)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", NAMES)
async def test_a_statement_does_the_work_that_it_was_asked_for(table: Table, name: str, plan: str) -> None:
    compiled = statement(name).compile(dialect=DIALECT)
    values, allowed, rows = _asked(name, table)
    explained = await _explain(table, str(compiled), values, list(compiled.positiontup or ()), plan)
    indexes, looked, pages = _work(explained)
    assert indexes <= allowed
    assert looked <= rows
    assert pages <= 30 * rows + (DEAD_PAGES if allowed != {PRIMARY_KEY} else 50)


class _Seen(Browse):
    """Keeps what it would ask."""

    def __init__(self, table: Table) -> None:
        super().__init__(Database(table.engine), table.engine)
        self._table = table
        self.plans: list[dict[str, Any]] = []

    async def _fetch(self, query: Select[Any]) -> Sequence[Mapping[str, Any]]:
        sql = query.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True})
        self.plans.append(await _explain(self._table, str(sql), {}, [], "auto"))
        return await super()._fetch(query)


@pytest.mark.parametrize("status", [None, *Status])
async def test_a_page_reads_its_window_and_no_more(table: Table, status: Status | None) -> None:
    for kind in (None, Kind("rare")):
        seen = _Seen(table)
        await seen.page(limit=50, after=TaskId(_id(ENDED + PENDING)), status=status, kind=kind)
        for plan in seen.plans:
            indexes, looked, _ = _work(plan)
            assert indexes <= {PRIMARY_KEY, "ix_tasks_failed"}
            assert looked <= (WINDOW if status or kind else 51)
