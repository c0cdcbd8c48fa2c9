"""The claim is the only gate (R1 gate), with Redis and without."""

from __future__ import annotations

import asyncio
import json
from itertools import chain

import pytest
from sqlalchemy import text

from sluice.core.ids import new_consumer_id, new_task_id
from sluice.core.outcome import Completion
from sluice.core.task import DEFAULT_QUEUE, QueueName, RunKey, Status
from sluice.db.claims import Lane
from sluice.db.upkeep import BEGINNING
from tests.support.stores import ECHO, Stores, new

LANES = {Lane(DEFAULT_QUEUE, ECHO, 5): BEGINNING}


async def test_a_claim_starts_a_try_and_says_all_a_handler_needs(stores: Stores) -> None:
    task = new(message="hello", payload='{"a": [1,  2]}', priority=7, max_attempts=3, timeout=1.5)
    before = (await stores.submit(task))[task.id]
    me = new_consumer_id()

    [claim] = await stores.claims.claim([task.id], consumer=me, kinds=[ECHO])

    assert (claim.id, claim.token, claim.kind, claim.queue, claim.priority) == (
        task.id,
        1,
        "echo",
        "default",
        7,
    )
    assert (claim.message, claim.payload) == ("hello", '{"a": [1,  2]}'), "JSON is not rewritten on its way"
    assert (claim.attempt, claim.max_attempts, claim.crashes, claim.timeout) == (1, 3, 0, 1.5)
    row = await stores.get(task.id)
    assert (row.status, row.consumer_id, row.attempt, row.fencing_token) == (Status.PROCESSING, me, 1, 1)
    assert row.started_at is not None
    assert row.started_at == row.updated_at >= before.created_at


async def test_a_claimed_task_stays_on_its_page(stores: Stores) -> None:
    tasks = [new(payload=json.dumps({"of some size": "x" * 200})) for _ in range(200)]
    await stores.submit(*tasks)
    before = await _pages(stores)

    await stores.claims.claim([task.id for task in tasks], consumer=new_consumer_id(), kinds=[ECHO])

    after = await _pages(stores)
    assert len(set(before.values())) > 5, "they fill some pages"
    share = sum(after[task] == page for task, page in before.items()) / len(tasks)
    assert share > 0.8, "a claim names its consumer, so a few of the longer versions find no room"


async def _pages(stores: Stores) -> dict[str, int]:
    """On which page of the table each task is."""
    async with stores.engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT CAST(id AS text), (CAST(CAST(ctid AS text) AS point))[0] FROM tasks")
        )
        return {task: int(page) for task, page in rows}


async def test_only_pending_due_rows_of_our_kinds_come_back(stores: Stores) -> None:
    pending, other, early = new(), new("other"), new(delay=60.0)
    canceled, taken, done = new(), new(), new()
    await stores.submit(pending, other, early, canceled, taken, done)
    await stores.tasks.cancel(canceled.id)
    held = await stores.claims.claim([taken.id, done.id], consumer=new_consumer_id(), kinds=[ECHO])
    await stores.claims.finish([Completion(c.id, c.token, None) for c in held if c.id == done.id])
    unknown = new_task_id()

    claims = await stores.claims.claim(
        [unknown, pending.id, other.id, early.id, canceled.id, taken.id, done.id],
        consumer=new_consumer_id(),
        kinds=[ECHO],
    )

    assert [claim.id for claim in claims] == [pending.id]
    for task, status in ((other, "pending"), (early, "pending"), (canceled, "canceled"), (done, "completed")):
        assert (await stores.get(task.id)).status == status


async def test_an_id_that_is_named_twice_is_claimed_once(stores: Stores) -> None:
    task = new()
    await stores.submit(task)
    claims = await stores.claims.claim([task.id, task.id], consumer=new_consumer_id(), kinds=[ECHO])
    assert [claim.token for claim in claims] == [1]


async def test_a_locked_row_is_passed_over_and_not_waited_for(stores: Stores) -> None:
    locked, free = new(), new()
    await stores.submit(locked, free)
    async with stores.raw.transaction():
        await stores.raw.execute("SELECT FROM tasks WHERE id = $1 FOR UPDATE", locked.id)
        async with asyncio.timeout(2):
            claims = await stores.claims.claim([locked.id, free.id], consumer=new_consumer_id(), kinds=[ECHO])
    assert [claim.id for claim in claims] == [free.id]


@pytest.mark.parametrize("through", ["claim", "claim_ready"])
async def test_a_row_that_a_foreign_key_refers_to_is_claimed_meanwhile(stores: Stores, through: str) -> None:
    """Such as of an order that is written beside its task, in a transaction that takes longer."""
    task = new()
    await stores.submit(task)
    await stores.raw.execute("CREATE TABLE orders (task_id uuid REFERENCES tasks)")
    try:
        async with stores.raw.transaction():
            await stores.raw.execute("INSERT INTO orders VALUES ($1)", task.id)
            if through == "claim":
                claims = await stores.claims.claim([task.id], consumer=new_consumer_id(), kinds=[ECHO])
            else:
                claims, _ = await stores.claims.claim_ready(LANES, 1, consumer=new_consumer_id())
    finally:
        await stores.raw.execute("DROP TABLE orders")
    assert [claim.id for claim in claims] == [task.id]


@pytest.mark.parametrize("through", ["claim", "claim_ready"])
async def test_claimers_at_once_share_nothing_and_leave_nothing(stores: Stores, through: str) -> None:
    tasks = [new() for _ in range(400)]
    await stores.submit(*tasks)
    ids = [task.id for task in tasks]

    async def claimer() -> list[RunKey]:
        me, found = new_consumer_id(), list[RunKey]()
        while True:
            if through == "claim":
                claims = await stores.claims.claim(ids, consumer=me, kinds=[ECHO])
            else:
                claims, _ = await stores.claims.claim_ready(LANES, 50, consumer=me)
            found += [claim.key for claim in claims]
            if not claims:
                return found

    found = list(chain.from_iterable(await asyncio.gather(*(claimer() for _ in range(4)))))
    left = await stores.raw.fetchval("SELECT count(*) FROM tasks WHERE status = 'pending'")
    assert len(set(found)) == len(found)
    assert len(found) + left == 400
    # What the last look of one met locked by another may be left; the next look finds it.
    rest = await stores.claims.claim(ids, consumer=new_consumer_id(), kinds=[ECHO])
    assert len(rest) == left
    assert (
        await stores.raw.fetchval("SELECT count(*) FROM tasks WHERE fencing_token <> 1 OR attempt <> 1") == 0
    )


async def test_by_the_rows_the_lanes_are_served_in_the_order_given_oldest_first(stores: Stores) -> None:
    low, high, other = new(priority=1), new(priority=9), new(priority=9, queue=QueueName("other"))
    newer, older = new(), new()
    await stores.submit(low, high, other, older, newer)
    await stores.raw.execute("UPDATE tasks SET run_at = run_at - interval '1 minute' WHERE id = $1", newer.id)
    await stores.raw.execute(
        "UPDATE tasks SET run_at = run_at - interval '2 minutes' WHERE id = $1", older.id
    )
    lanes = {Lane(DEFAULT_QUEUE, ECHO, priority): BEGINNING for priority in (9, 5, 1)}

    async def claim(n: int) -> set[object]:
        claims, _ = await stores.claims.claim_ready(lanes, n, consumer=new_consumer_id())
        return {claim.id for claim in claims}

    assert await claim(2) == {high.id, older.id}
    assert await claim(10) == {newer.id, low.id}
    assert (await stores.get(other.id)).status is Status.PENDING, "its queue was not asked for"


async def test_without_redis_the_gate_is_the_same(stores: Stores) -> None:
    early, other, canceled, locked, free = new(delay=60.0), new("other"), new(), new(), new()
    await stores.submit(early, other, canceled, locked, free)
    await stores.tasks.cancel(canceled.id)
    async with stores.raw.transaction():
        await stores.raw.execute("SELECT FROM tasks WHERE id = $1 FOR UPDATE", locked.id)
        claims, _ = await stores.claims.claim_ready(LANES, 10, consumer=new_consumer_id())
    assert [(claim.id, claim.token) for claim in claims] == [(free.id, 1)]


async def test_a_claim_that_waited_for_a_cancel_sees_it(stores: Stores) -> None:
    """READ COMMITTED re-reads the row after the lock: the cancel that committed first has won."""
    task = new()
    await stores.submit(task)
    async with stores.raw.transaction():
        await stores.raw.execute("LOCK TABLE tasks IN SHARE ROW EXCLUSIVE MODE")
        claiming = asyncio.gather(stores.claims.claim([task.id], consumer=new_consumer_id(), kinds=[ECHO]))
        await stores.waited_for()
        await stores.raw.execute(
            "UPDATE tasks SET status = 'canceled', canceled_from = status, fencing_token = fencing_token + 1"
        )
    [[*claims]] = await claiming
    assert claims == []
    assert (await stores.get(task.id)).canceled_from is Status.PENDING
