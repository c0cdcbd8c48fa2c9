"""Statements, and a consumer, beside a million rows and ten thousand lists that nobody serves.

What a statement costs (rows looked at, pages) must follow from what it was asked for, never from what others have left
lying. To have another one held to that: a line in `_asked`.
How soon a consumer starts what it serves is measured by `make bench ARGS="--only lists"`; here it is whether, within a
time that only a walk exceeds which never gets through.

`make scale ROWS=5000000 LISTS=50000` asks the same of more rows and lists.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Select

from sluice.cli.embedded import Urls
from sluice.core.task import PRIORITIES, Kind, QueueName, Status, TaskId
from sluice.db.browse import WINDOW, Browse
from sluice.db.session import Database, make_engine
from tests.scale.crowding import ALIVE, ORPHANED, RUNNING, SERVED, SERVED_QUEUES, Crowd, task_id
from tests.support.consuming import consumers_of
from tests.support.eventually import eventually
from tests.support.explaining import DIALECT, compiled_for, explain, order, work

pytestmark = [pytest.mark.xdist_group("crowd"), pytest.mark.timeout(300)]

BATCH = 50
PLANS = ("force_custom_plan", "force_generic_plan")
PAGES = 30
"""The most that one row may cost: its probe, its page, the entries of its next version in every index."""
SPARE_PAGES = 60
KEY, LANES, DELAYED = "pk_tasks", "ix_tasks_lanes", "ix_tasks_delayed"
SUSPECTS = "ix_tasks_suspects"
PROCESSING, FINISHED = "ix_tasks_processing", "ix_tasks_finished"
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_LANES = len(PRIORITIES) * len(SERVED_QUEUES)
EVERY_LANE = {
    "queues": [queue for _ in PRIORITIES for queue in SERVED_QUEUES],
    "kinds": [SERVED] * _LANES,
    "priorities": [priority for priority in reversed(PRIORITIES) for _ in SERVED_QUEUES],
    "run_ats": [LONG_AGO] * _LANES,
    "ids": [task_id(0)] * _LANES,
    "listed": [False] * _LANES,
    "slack": 3.0,
}
PATIENCE = 30.0
"""Seconds: six times what is promised of a hint that was lost."""
LEFT = "SELECT count(*) FROM tasks WHERE id = ANY ($1) AND status <> 'completed'"
Asked = tuple[dict[str, Any], set[str], int]


def _asked(crowd: Crowd) -> dict[str, Asked]:
    """By statement: its parameters, the indexes that it may use, and how many rows it may look at."""
    waiting, running, orphaned = (_spread(one) for one in (crowd.waiting, crowd.running, crowd.orphaned))
    claim = {"consumer_id": uuid4(), "kinds": [SERVED]}
    held = {"ids": running, "tokens": [0] * BATCH}
    after = {"after_run_at": LONG_AGO, "after_id": task_id(0)}
    whole, queues = RUNNING + ORPHANED, list(SERVED_QUEUES)
    return {
        # What a task walks through.
        "claim": ({**claim, "ids": waiting, "suspects": True}, {KEY}, 2 * BATCH),
        "claim_ready": (
            {**EVERY_LANE, "consumer_id": uuid4(), "hints": waiting, "n": BATCH, "skip": 0, "suspect": 1},
            {LANES, SUSPECTS, KEY},
            4 * BATCH,
        ),
        # One of ours before the kinds that nobody serves, and one behind them.
        "lanes": (
            {"queues": queues, "sinces": [""] * len(queues), "kinds": ["zero", SERVED], "n": BATCH},
            {LANES},
            40,
        ),
        "finish": ({**held, "results": ["1"] * BATCH}, {KEY}, BATCH),
        "fail": (
            {**held, "types": ["E"] * BATCH, "messages": ["m"] * BATCH, "delays": [None] * BATCH},
            {KEY},
            BATCH,
        ),
        "give_back": ({**held, "delays": [0.0] * BATCH}, {KEY}, BATCH),
        "cancel": ({"id": waiting[0]}, {KEY}, 1),
        "get": ({"id": waiting[0]}, {KEY}, 1),
        "get_many": ({"ids": waiting}, {KEY}, BATCH),
        "held": ({"consumer_id": ALIVE}, {PROCESSING}, whole),
        # Upkeep, of each turn.
        "promote_due": ({**after, "n": BATCH}, {DELAYED}, BATCH),
        "promote_next": ({}, {DELAYED}, 1),
        "reap_look": ({"n": 1000}, {PROCESSING}, whole),
        "reap": (
            {"ids": orphaned, "tokens": [0] * BATCH, "spread": 1.0, "poisoned": 3},
            {KEY},
            2 * BATCH,
        ),
        "prune_look": (
            {
                "age": 3600.0,
                "n": BATCH,
                "after_finished_at": "-infinity",
                "after_place": "(0,0)",
                "after_part": 0,
            },
            {FINISHED},
            BATCH + 1,  # as in the plans of any table
        ),
        "prune": ({"age": 3600.0, "ids": _spread(crowd.ended)}, {KEY}, 2 * BATCH),
        "held_among": (held, {KEY}, BATCH),
        "locked_among": ({"ids": running}, {KEY}, 2 * BATCH),
        # What health asks.
        "consumers": ({"most": BATCH, "in_all": BATCH}, set(), 0),
        "waiting_kinds": ({"queues": queues, "afters": [""] * len(queues), "n": BATCH}, {LANES}, BATCH + 1),
        "queues": ({"after": "", "n": BATCH}, {LANES}, BATCH + 1),
        "depths": ({"queues": list(SERVED_QUEUES), "cap": BATCH}, {LANES}, BATCH * len(SERVED_QUEUES)),
    }


NAMES = (
    *("claim", "lanes", "claim_ready", "finish", "fail", "give_back", "cancel", "get", "get_many", "held"),
    *(
        "promote_due",
        "promote_next",
        "reap_look",
        "reap",
        "prune_look",
        "prune",
        "held_among",
        "locked_among",
    ),
    *("consumers", "queues", "waiting_kinds", "depths"),
)


def _spread(numbers: range) -> list[UUID]:
    """A batch from all over the range."""
    return [task_id(n) for n in numbers[:: len(numbers) // BATCH][:BATCH]]


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", NAMES)
async def test_a_statement_does_not_pay_for_what_nobody_serves(crowd: Crowd, name: str, plan: str) -> None:
    compiled = compiled_for(name)
    values, allowed, rows = _asked(crowd)[name]
    explained = await explain(crowd, str(compiled), values, order(compiled), plan)
    indexes, looked, pages = work(explained)
    assert indexes <= allowed
    assert looked <= rows
    assert pages <= PAGES * rows + SPARE_PAGES


class _Seen(Browse):
    """Keeps the work of what it asks."""

    def __init__(self, crowd: Crowd, *rest: Any) -> None:
        super().__init__(*rest)
        self._crowd = crowd
        self.work: list[tuple[set[str], float, int]] = []

    async def _fetch(self, query: Select[Any]) -> Any:
        sql = query.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True})
        self.work.append(work(await explain(self._crowd, str(sql), {}, [], "auto")))
        return await super()._fetch(query)


@pytest.mark.parametrize(
    "wanted", [{}, {"kind": Kind("rare")}, {"queue": QueueName("mail")}, {"status": Status.FAILED}]
)
async def test_a_page_reads_its_window_and_no_more(crowd: Crowd, wanted: dict[str, Any]) -> None:
    engine = make_engine(crowd.url, role="test", pool_size=2)
    try:
        browse = _Seen(crowd, Database(engine), engine)
        await browse.page(limit=50, after=TaskId(task_id(crowd.waiting[0])), **wanted)
    finally:
        await engine.dispose()
    for indexes, looked, _ in browse.work:
        assert indexes <= {KEY, "ix_tasks_failed"}
        assert looked <= (WINDOW if wanted else 51)


@pytest.mark.parametrize("crowd", ["analyzed"], indirect=True)
@pytest.mark.parametrize("redis", [True, False], ids=["hints lost", "no Redis"])
async def test_tasks_behind_what_nobody_serves_are_run(
    crowd: Crowd, redis_url: str, redis_prefix: str, tmp_path: Path, *, redis: bool
) -> None:
    own = await crowd.wait_behind(BATCH)

    async def done() -> bool:
        left: int = await crowd.connection.fetchval(LEFT, own)
        return left == 0

    async with consumers_of(Urls(crowd.url, redis_url if redis else ""), redis_prefix, tmp_path) as consumers:
        await consumers.start("--queues", ",".join(SERVED_QUEUES))
        await eventually(done, timeout=PATIENCE)
