"""What each statement costs beside very many rows and beside few: milliseconds and pages. Made to be flat.

Every statement runs several times with other ids each time; what counts is the median of those after the first few.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from uuid import UUID, uuid4

from benchmarks.cpu import Meter
from benchmarks.deep import Connection
from benchmarks.explain import Cost, Explain, opened
from benchmarks.handlers import KIND
from benchmarks.preload import MESSAGE, PAYLOAD, settle, values
from benchmarks.recorded import AT_DEPTH, AT_SHALLOW
from benchmarks.results import Comparison, Run
from benchmarks.stage import BrokenRun, Stage
from sluice.consumer.upkeep import promote, prune, reap
from sluice.core.task import DEFAULT_QUEUE, PRIORITIES, Kind
from sluice.db.browse import DEPTH_CAP
from sluice.db.claims import SLACK
from sluice.db.upkeep import BEGINNING

SHALLOW = 100_000
_BATCH = 100
_WARM_UP, _COUNTED = 4, 9
_TIMES = _WARM_UP + _COUNTED
_STRIDE = 3
_ENOUGH = _STRIDE * _TIMES * _BATCH
_PAGE = 50
_AGE = 60.0
_SLACK = SLACK.total_seconds()
_LANES = 200
# What a table in use has besides: tasks that were just submitted, tries of a consumer that died, delayed ones now due.
_LIVE = """
INSERT INTO tasks (id, created_at, run_at, kind, queue, priority, max_attempts, timeout, message, payload, status,
                   consumer_id, fencing_token, attempt)
SELECT uuidv7(), now() - ago, now() - ago + delayed, $2, 'default', 5, 5, 3600, $3, CAST($4 AS json), $5,
       CAST($6 AS uuid), token, token
  FROM generate_series(1, CAST($1 AS integer)) AS n
 CROSS JOIN (SELECT CAST($7 AS bigint), CAST($8 AS interval), CAST($9 AS interval)) AS one (token, ago, delayed)
RETURNING id
"""
_SPREAD = """
SELECT id
  FROM tasks TABLESAMPLE BERNOULLI (LEAST(CAST(100 AS real), CAST($1 AS real))) REPEATABLE (1)
 WHERE status = 'pending' AND run_at <= now()
"""

_ENDED = """
SELECT id FROM tasks WHERE status IN ('completed', 'failed', 'canceled') ORDER BY finished_at LIMIT $1
"""


@dataclass(frozen=True, slots=True)
class Given:
    """Ids of the table, a batch for each time; `ended`: what prune removes next, in one chunk."""

    new: list[list[UUID]]
    held: list[list[UUID]]
    spread: list[list[UUID]]
    ended: list[UUID]


Ask = Callable[[Explain, Given, int], Awaitable[Cost]]


def _claim(explain: Explain, ids: list[UUID]) -> Awaitable[Cost]:
    return explain.statement("claim", ids=ids, consumer_id=uuid4(), kinds=[KIND], suspects=True)


async def _claim_ready(explain: Explain) -> Cost:
    """The rows are the same each time, and the versions that were rolled back must not take up the room beside them."""
    lanes = len(PRIORITIES)
    await explain.vacuum()
    return await explain.statement(
        "claim_ready",
        queues=[DEFAULT_QUEUE] * lanes,
        kinds=[KIND] * lanes,
        priorities=list(reversed(PRIORITIES)),
        run_ats=[BEGINNING.run_at] * lanes,
        ids=[BEGINNING.id] * lanes,
        listed=[False] * lanes,
        hints=[],
        slack=_SLACK,
        consumer_id=uuid4(),
        n=_BATCH,
        skip=0,
        suspect=1,
    )


def _finish(explain: Explain, ids: list[UUID]) -> Awaitable[Cost]:
    return explain.statement("finish", ids=ids, tokens=[1] * len(ids), results=[None] * len(ids))


def _look(explain: Explain) -> Awaitable[Cost]:
    return explain.statement("lanes", queues=[DEFAULT_QUEUE], sinces=[""], kinds=[KIND], n=_LANES)


async def _promote(explain: Explain) -> Cost:
    after = {"after_run_at": BEGINNING.run_at, "after_id": BEGINNING.id}
    due = await explain.statement("promote_due", **after, n=promote.CHUNK)
    return due + await explain.statement("promote_next")


async def _prune(explain: Explain, ended: list[UUID]) -> Cost:
    after = {"after_finished_at": "-infinity", "after_place": "(0,0)", "after_part": 0}
    look = await explain.statement("prune_look", age=_AGE, **after, n=prune.CHUNK)
    return look + await explain.statement("prune", age=_AGE, ids=ended)


async def _depths(explain: Explain) -> Cost:
    queues = await explain.statement("queues", after="", n=_LANES)
    return queues + await explain.statement("depths", queues=[DEFAULT_QUEUE], cap=DEPTH_CAP)


EVERYWHERE: dict[str, Ask] = {
    "submit 100": lambda explain, _, __: explain.statement("submit", **values(_BATCH, KIND)),
    "claim 100 new ones": lambda explain, given, time: _claim(explain, given.new[time]),
    "claim 100 by the rows": lambda explain, _, __: _claim_ready(explain),
    "finish 100": lambda explain, given, time: _finish(explain, given.held[time]),
    "scan, the look": lambda explain, _, __: _look(explain),
    "promote, one turn": lambda explain, _, __: _promote(explain),
    "reap, the look": lambda explain, _, __: explain.statement("reap_look", n=reap.CHUNK),
    "list, a page": lambda explain, _, __: explain.page(limit=_PAGE),
    "list, a page of a rare kind": lambda explain, _, __: explain.page(limit=_PAGE, kind=Kind("rare")),
    "depths of the queues": lambda explain, _, __: _depths(explain),
}
QUEUED: dict[str, Ask] = {
    "claim 100 from all over": lambda explain, given, time: _claim(explain, given.spread[time]),
}
FINISHED: dict[str, Ask] = {
    "prune, one chunk": lambda explain, given, _: _prune(explain, given.ended),
}


def asks(workload: str) -> dict[str, Ask]:
    """What is asked of the tables of a workload."""
    return {**EVERYWHERE, **(QUEUED if workload == "backlog" else FINISHED)}


def comparisons(workload: str) -> tuple[Comparison, ...]:
    """One for each statement: how much longer it takes beside very many rows. Without a target: less is better."""
    return tuple(
        Comparison(f"{workload}: {name}", f"{workload}: {name}", AT_DEPTH, AT_SHALLOW)
        for name in asks(workload)
    )


async def run(stage: Stage, *, workload: str, side: str, rows: int) -> AsyncIterator[Run]:
    """The cost of each statement on the stage's database as it is now, with `rows` beside those that live."""
    async with stage.connection() as connection:
        given = await prepare(connection)
    if workload == "backlog" and min(map(len, given.spread)) < _BATCH:
        raise BrokenRun("the sample of the backlog has too few rows: its claims would cost nothing")
    async with opened(stage.urls.database_url) as explain:
        for name, ask in asks(workload).items():
            with Meter(stage.server_pids) as meter:
                costs = await measure(ask, explain, given)
            facts = {
                "table_rows": rows,
                "pages": median(cost.pages for cost in costs),
                "pages_read": median(cost.read for cost in costs),
                "indexes": sorted(frozenset().union(*(cost.indexes for cost in costs))),
                "ms": [round(cost.ms, 3) for cost in costs],
            }
            value = median(cost.ms for cost in costs)
            yield Run(f"{workload}: {name}", side, 1, 1, value, "ms", {**facts, **meter.facts})


async def measure(ask: Ask, explain: Explain, given: Given) -> list[Cost]:
    """Every time that counts."""
    return [await ask(explain, given, time) for time in range(_TIMES)][_WARM_UP:]


async def prepare(connection: Connection) -> Given:
    """Add the live rows to a table; ids of every sort."""
    ago, at_once = timedelta(seconds=10), timedelta()

    async def add(n: int, status: str, consumer: UUID | None, delay: timedelta) -> list[UUID]:
        token = 0 if consumer is None else 1
        same = (KIND, MESSAGE, PAYLOAD, status, consumer, token, ago, delay)
        return [row["id"] for row in await connection.fetch(_LIVE, n, *same)]

    new = await add(_ENOUGH, "pending", None, at_once)
    held = await add(_ENOUGH, "processing", uuid4(), at_once)
    await add(promote.CHUNK, "pending", None, ago / 2)
    await settle(connection)
    rows = await connection.fetchval("SELECT reltuples FROM pg_class WHERE relname = 'tasks'")
    spread = [row["id"] for row in await connection.fetch(_SPREAD, 150.0 * _ENOUGH / rows)]
    return Given(
        new=_batches(new),
        held=_batches(held),
        spread=_batches(spread),
        ended=[row["id"] for row in await connection.fetch(_ENDED, prune.CHUNK)],
    )


def _batches(found: list[UUID]) -> list[list[UUID]]:
    """A batch for each time, each from the whole of them."""
    return [found[at :: max(_TIMES, len(found) // _BATCH)][:_BATCH] for at in range(_TIMES)]
