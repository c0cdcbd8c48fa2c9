"""How PostgreSQL runs the hot statements on a large table, also when its statistics are wrong (DESIGN 4).

Measured as work done, not as cost guessed: each statement is run (and rolled back) under EXPLAIN ANALYZE, once with a
plan for these parameters and once with the generic plan that a prepared statement gets; how many rows and pages it
touched must follow from what it was asked for, not from how large the table is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import Select

from sluice.core.task import PRIORITIES, Kind, Status, TaskId
from sluice.db.browse import WINDOW, Browse
from sluice.db.session import make_engine
from tests.integration.filling import (
    ALIVE,
    ENDED,
    PENDING,
    PHASES,
    Connection,
    Table,
    nobody_looks_behind,
    task_id,
)
from tests.support.databases import migrated
from tests.support.explaining import DIALECT, compiled_for, explain, nodes, order, work

pytestmark = pytest.mark.xdist_group("plans")

BATCH = 50
DEAD_PAGES = 2500
"""Leaves of a partial index whose entries are dead: a walk steps over them until they are vacuumed."""
PLANS = ("force_custom_plan", "force_generic_plan")
PRIMARY_KEY = "pk_tasks"
LANES = "ix_tasks_lanes"
SUSPECTS = "ix_tasks_suspects"
DELAYED = "ix_tasks_delayed"
PROCESSING = "ix_tasks_processing"


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
    await nobody_looks_behind(large.connection)
    return large


def _spread(numbers: range) -> list[UUID]:
    """A batch from all over the range, as the ids of a list are."""
    return [task_id(n) for n in numbers[:: max(1, len(numbers) // BATCH)][:BATCH]]


LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
LONG_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)
EVERY_LANE: dict[str, Any] = {
    "queues": ["default"] * 10,
    "kinds": ["echo"] * 10,
    "priorities": list(reversed(PRIORITIES)),
    "run_ats": [LONG_AGO] * 10,
    "ids": [task_id(0)] * 10,
    "listed": [False] * 10,
    "hints": [task_id(1), task_id(2)],
    "slack": 3.0,
}


def _asked(name: str, table: Table) -> tuple[dict[str, Any], set[str], float]:
    """A statement's parameters, the indexes it may use, and the rows it may look at."""
    pending, processing = _spread(table.pending), _spread(table.processing)
    fenced: dict[str, Any] = {"ids": processing, "tokens": [0] * len(processing)}
    start: dict[str, Any] = {"consumer_id": uuid4(), "kinds": ["echo"]}
    after: dict[str, Any] = {"after_run_at": LONG_AGO, "after_id": task_id(0)}
    everything = len(table.processing)
    by_key = {PRIMARY_KEY}
    return {
        "claim": ({**start, "ids": pending, "suspects": True}, by_key, 2 * BATCH),
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
        "claim_ready": (
            {**EVERY_LANE, "consumer_id": uuid4(), "n": BATCH, "skip": 0, "suspect": 1},
            {LANES, SUSPECTS, PRIMARY_KEY},
            2 * BATCH + 3,
        ),
        "lanes": (
            {"queues": ["default", "other"], "sinces": ["", ""], "kinds": ["echo", "other"], "n": BATCH},
            {LANES},
            6,
        ),
        "queues": ({"after": "", "n": 10}, {LANES}, 3),
        "waiting_kinds": ({"queues": ["default", "other"], "afters": ["", ""], "n": 10}, {LANES}, 6),
        "promote_due": ({**after, "n": BATCH}, {DELAYED}, BATCH),
        "promote_next": ({}, {DELAYED}, 1),
        "depths": ({"queues": ["default"], "cap": BATCH}, {LANES}, BATCH),
        "reap_look": ({"n": 1000}, {PROCESSING}, everything),
        "held": ({"consumer_id": ALIVE}, {PROCESSING}, everything),
        "prune_look": (
            {
                "age": 60.0,
                "n": BATCH,
                "after_finished_at": "-infinity",
                "after_place": "(0,0)",
                "after_part": 0,
            },
            {"ix_tasks_finished"},
            BATCH + 1,  # those of one instant stand in the order of their places
        ),
        "prune": ({"age": 60.0, "ids": _spread(range(ENDED))}, by_key, 2 * BATCH),
        "held_among": (fenced, by_key, BATCH),
        "locked_among": ({"ids": processing}, by_key, 2 * BATCH),
    }[name]


NAMES = (
    *("claim", "finish", "fail", "give_back", "cancel", "get", "get_many", "held", "claim_ready"),
    *(
        "lanes",
        "queues",
        "waiting_kinds",
        "promote_due",
        "promote_next",
        "reap_look",
        "reap",
        "prune_look",
        "prune",
        "held_among",
        "locked_among",
    ),
    "depths",
)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", NAMES)
async def test_a_statement_does_the_work_that_it_was_asked_for(table: Table, name: str, plan: str) -> None:
    compiled = compiled_for(name)
    values, allowed, rows = _asked(name, table)
    explained = await explain(table, str(compiled), values, order(compiled), plan)
    indexes, looked, pages = work(explained)
    assert indexes <= allowed
    assert looked <= rows
    assert pages <= 30 * rows + (DEAD_PAGES if allowed != {PRIMARY_KEY} else 50)


@pytest.mark.parametrize("plan", PLANS)
async def test_prune_sorts_nothing(table: Table, plan: str) -> None:
    """Millions of rows may have ended at one instant, as by an UPDATE of a person's."""
    compiled = compiled_for("prune_look")
    values, _, _ = _asked("prune_look", table)
    explained = await explain(table, str(compiled), values, order(compiled), plan)
    assert [node["Node Type"] for node in nodes(explained) if "Sort" in node["Node Type"]] == []


class _Seen(Browse):
    """Keeps what it would ask."""

    def __init__(self, table: Table) -> None:
        super().__init__(table.engine, table.engine)
        self._table = table
        self.plans: list[dict[str, Any]] = []

    async def _fetch(self, query: Select[Any]) -> Sequence[Mapping[str, Any]]:
        sql = query.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True})
        self.plans.append(await explain(self._table, str(sql), {}, [], "auto"))
        return await super()._fetch(query)


@pytest.mark.parametrize("status", [None, Status.FAILED, Status.PENDING])
async def test_a_page_of_what_was_created_since_reads_its_rows_and_looks_for_no_older_one(
    table: Table, status: Status | None
) -> None:
    """Rows are as old as their ids say, which here means the first second of 1970 and what follows."""
    for newest in (ENDED + PENDING, 5):
        seen = _Seen(table)
        await seen.page(limit=50, after=TaskId(task_id(newest)), status=status, since=LONG_AGO)
        assert len(seen.plans) == 2 + (status is not Status.PENDING)
        assert sum(work(plan)[1] for plan in seen.plans) == 0


async def test_a_full_page_of_what_was_created_since_reads_no_more_than_one_of_all(table: Table) -> None:
    seen = _Seen(table)
    page = await seen.page(limit=50, after=TaskId(task_id(ENDED + PENDING)), since=LONG_BEFORE)
    assert len(page.tasks) == 50
    [plan] = seen.plans
    indexes, looked, _ = work(plan)
    assert indexes == {PRIMARY_KEY}
    assert looked <= 51


@pytest.mark.parametrize("status", [None, Status.FAILED])
async def test_when_ids_were_made_by_a_wrong_clock_a_page_of_what_was_created_since_reads_its_window(
    table: Table, status: Status | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.db.browse.lowest_task_id", lambda _at, earlier: task_id(0))  # noqa: ARG005
    seen = _Seen(table)
    page = await seen.page(limit=50, status=status, since=datetime(2200, 1, 1, tzinfo=UTC))
    assert not page.tasks
    assert all(work(plan)[1] <= WINDOW for plan in seen.plans)


@pytest.mark.parametrize("status", [None, *Status])
async def test_a_page_reads_its_window_and_no_more(table: Table, status: Status | None) -> None:
    for kind in (None, Kind("rare")):
        seen = _Seen(table)
        await seen.page(limit=50, after=TaskId(task_id(ENDED + PENDING)), status=status, kind=kind)
        for plan in seen.plans:
            indexes, looked, _ = work(plan)
            assert indexes <= {PRIMARY_KEY, "ix_tasks_failed"}
            assert looked <= (WINDOW if status or kind else 51)
