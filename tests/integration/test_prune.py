"""What ended long ago is removed, and a row that was retried in between is not (U5 prune, R3 no second look)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from sluice.consumer.upkeep.prune import Prune
from sluice.core.errors import TaskNotFound
from sluice.core.events import Event, StepFailed, UpkeepDone
from sluice.core.outcome import Completion, Failing, Failure
from sluice.core.task import Status, TaskId
from sluice.db.session import Database, Limits, make_engine
from sluice.db.upkeep import Ended, Upkeep
from tests.support.pruning import prune
from tests.support.stores import Stores, new

DAY = timedelta(days=1)


async def _ended(stores: Stores, n: int, *, days_ago: float) -> None:
    claims = await stores.claimed(*(new() for _ in range(n)))
    await stores.claims.finish([Completion(claim.id, claim.token, None) for claim in claims])
    await stores.raw.execute(
        "UPDATE tasks SET finished_at = now() - $1::interval WHERE id = ANY ($2)",
        timedelta(days=days_ago),
        [claim.id for claim in claims],
    )


async def _count(stores: Stores) -> int:
    return int(await stores.raw.fetchval("SELECT count(*) FROM tasks"))


async def test_only_what_ended_before_the_age_is_removed(stores: Stores) -> None:
    await _ended(stores, 3, days_ago=1.001)
    await _ended(stores, 2, days_ago=0.999)
    failed, canceled, processing = await stores.claimed(new(), new(), new())
    await stores.claims.fail([Failing(failed.id, failed.token, Failure("E", "m"), None)])
    await stores.tasks.cancel(canceled.id)
    pending = new()
    await stores.submit(pending)
    await stores.raw.execute(
        "UPDATE tasks SET created_at = now() - interval '9 days', run_at = now() - interval '9 days', "
        "finished_at = CASE WHEN finished_at > now() - interval '1 hour' THEN now() - interval '9 days' "
        "ELSE finished_at END"
    )
    assert await prune(stores.upkeep, DAY, 100) == 5
    assert {row["status"] for row in await stores.raw.fetch("SELECT status FROM tasks")} == {
        "pending",
        "processing",
        "completed",
    }
    assert (await stores.get(processing.id)).status is Status.PROCESSING
    assert (await stores.get(pending.id)).status is Status.PENDING
    for claim in (failed, canceled):
        with pytest.raises(TaskNotFound):
            await stores.get(claim.id)


async def test_the_oldest_go_first_a_chunk_at_a_time(stores: Stores) -> None:
    for days in (5, 9, 7):
        await _ended(stores, 2, days_ago=days)
    assert await prune(stores.upkeep, DAY, 4) == 4
    assert await stores.raw.fetchval("SELECT max(now() - finished_at) < interval '6 days' FROM tasks")
    assert await prune(stores.upkeep, DAY, 4) == 2


async def test_a_row_that_is_being_retried_stays(stores: Stores) -> None:
    """The one that prune would wait for is passed over; a look at an older version of it deletes nothing."""
    [claim] = await stores.claimed(new())
    await stores.tasks.cancel(claim.id)
    await stores.raw.execute("UPDATE tasks SET finished_at = now() - interval '9 days'")
    async with stores.raw.transaction():
        await stores.raw.execute(
            "UPDATE tasks SET status = 'pending', finished_at = NULL, fencing_token = fencing_token + 1"
        )
        async with asyncio.timeout(2):
            assert await prune(stores.upkeep, DAY, 10) == 0
    assert (await stores.get(claim.id)).status is Status.PENDING


async def test_retries_and_prunes_at_once_never_lose_a_retried_task(stores: Stores) -> None:
    claims = await stores.claimed(*(new() for _ in range(100)))
    for claim in claims:
        await stores.tasks.cancel(claim.id)
    await stores.raw.execute("UPDATE tasks SET finished_at = now() - interval '9 days'")

    async def go_on() -> int:
        return sum([await prune(stores.upkeep, DAY, 7) for _ in range(10)])

    retried, *pruned = await asyncio.gather(
        asyncio.gather(*(stores.tasks.retry(claim.id) for claim in claims), return_exceptions=True),
        go_on(),
        go_on(),
    )
    alive = [answer for answer in retried if not isinstance(answer, BaseException)]
    assert all(isinstance(answer, TaskNotFound) for answer in retried if isinstance(answer, BaseException))
    assert len(alive) + sum(pruned) == 100
    assert await stores.raw.fetchval("SELECT count(*) FROM tasks WHERE status = 'pending'") == len(alive)


async def test_a_step_goes_on_at_once_while_there_is_more(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.consumer.upkeep.prune.CHUNK", 3)
    events: list[Event] = []
    await stores.upkeep.add_steps([Prune.name])
    await _ended(stores, 7, days_ago=9)
    pruning = Prune(store=stores.upkeep, retention=DAY, report=events.append)
    waits = [await pruning.step() for _ in range(3)]
    assert waits[:2] == [timedelta(), timedelta()]
    assert waits[2] > timedelta(seconds=1)
    assert [event.count for event in events] == [3, 3, 1]
    assert await _count(stores) == 0


async def test_a_dead_consumer_is_remembered_until_its_tasks_are_reaped(stores: Stores) -> None:
    """Else reap would not find which of them it had named, and a task that kills could kill for ever (U2 reap)."""
    long_dead = await stores.consumer()
    [claim] = await stores.claimed(new(), consumer=long_dead)
    await stores.dies(long_dead)
    await stores.raw.execute("UPDATE consumers SET beat_at = now() - interval '1 day'")
    assert await stores.upkeep.prune_consumers() == 0
    await stores.upkeep.reap([claim.key], timedelta())
    assert await stores.upkeep.prune_consumers() == 1


async def test_without_a_retention_every_task_stays_and_dead_consumers_go(stores: Stores) -> None:
    await stores.upkeep.add_steps([Prune.name])
    await _ended(stores, 2, days_ago=9000)
    long_dead, just_dead, unjudged = [await stores.consumer() for _ in range(3)]
    for consumer, minutes in ((long_dead, 61), (just_dead, 59), (unjudged, 99)):
        await stores.raw.execute(
            "UPDATE consumers SET beat_at = now() - $2::interval, expires_at = now() - $2::interval WHERE id = $1",
            consumer,
            timedelta(minutes=minutes),
        )
    for consumer in (long_dead, just_dead):
        await stores.dies(consumer)
    await Prune(store=stores.upkeep, retention=None, report=stores.events.append).step()
    assert await _count(stores) == 2
    left = {row["id"] for row in await stores.raw.fetch("SELECT id FROM consumers")}
    assert left == {just_dead, unjudged}


async def _to_the_end(stores: Stores) -> list[Event]:
    """Turn after turn until one leaves nothing to do at once; what they told."""
    events: list[Event] = []
    await stores.upkeep.add_steps([Prune.name])
    await stores.sql("UPDATE upkeep SET next_run_at = now()")
    step = Prune(store=stores.upkeep, retention=DAY, report=events.append).step
    while not await step():
        pass
    return events


async def test_rows_that_a_foreign_key_of_the_users_keeps_stay_alone(stores: Stores) -> None:
    """One of them kept twenty thousand, for good."""
    await _ended(stores, 700, days_ago=9)
    await _ended(stores, 300, days_ago=8)
    await stores.raw.execute(
        "CREATE TABLE invoices (task uuid REFERENCES tasks); INSERT INTO invoices "
        "SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM tasks) AS old WHERE n % 97 = 0"
    )
    try:
        events = await _to_the_end(stores)
        assert await _count(stores) == 10
        assert [event.reason for event in events if isinstance(event, StepFailed)]
        assert sum(event.count for event in events if isinstance(event, UpkeepDone)) == 990
        await stores.raw.execute("TRUNCATE invoices")
        await _to_the_end(stores)
        assert await _count(stores) == 10, "they have an hour's rest"
        await stores.raw.execute(
            "UPDATE upkeep SET cursor = json_build_object('finished_at', cursor ->> 'finished_at', 'place', "
            "cursor ->> 'place', 'part', cursor -> 'part', 'size', 1, 'began', now() - interval '1 hour')"
        )
        await _to_the_end(stores)
        assert await _count(stores) == 0
    finally:
        await stores.raw.execute("DROP TABLE invoices")


async def test_large_results_are_removed_by_bytes(stores: Stores) -> None:
    """Five thousand of a megabyte took longer than a statement may, each turn anew."""
    await _ended(stores, 80, days_ago=9)
    await stores.raw.execute("ALTER TABLE tasks ALTER result SET STORAGE EXTERNAL")
    await stores.raw.execute("UPDATE tasks SET result = to_json(repeat('x', 1000000))")
    await stores.raw.execute("ALTER TABLE tasks ALTER result SET STORAGE EXTENDED")
    look = await stores.upkeep.ended(DAY, Ended(), 100)
    assert min(row.bytes for row in look) > 1_000_000
    deleted: list[int] = []
    prune_rows = stores.upkeep.prune

    async def counted(ids: Sequence[TaskId], age: timedelta) -> int:
        deleted.append(await prune_rows(ids, age))
        return deleted[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(stores.upkeep), "prune", staticmethod(counted))
        await _to_the_end(stores)
    assert deleted == [33, 33, 14]
    assert await _count(stores) == 0


async def test_a_row_that_cannot_be_had_in_time_is_passed_over(stores: Stores, database_url: str) -> None:
    """A foreign key's check waits for whoever holds the row that refers to it."""
    await _ended(stores, 50, days_ago=9)
    await stores.raw.execute(
        "CREATE TABLE invoices (task uuid REFERENCES tasks ON DELETE CASCADE); "
        "INSERT INTO invoices SELECT id FROM tasks LIMIT 1"
    )
    hasty = Database(
        make_engine(database_url, role="test", pool_size=2, limits=Limits(lock=timedelta(milliseconds=50)))
    )
    try:
        async with stores.raw.transaction():
            await stores.raw.execute("SELECT FROM invoices FOR UPDATE")
            await _to_the_end(replace(stores, upkeep=Upkeep(hasty)))
            assert await stores.raw.fetchval("SELECT count(*) FROM tasks") == 1
    finally:
        await stores.raw.execute("DROP TABLE invoices")
        await hasty.close()


async def test_a_dead_consumer_whose_row_is_locked_keeps_no_other_here(stores: Stores) -> None:
    locked, other = await stores.consumer(), await stores.consumer()
    for consumer in (locked, other):
        await stores.dies(consumer)
    await stores.raw.execute("UPDATE consumers SET beat_at = now() - interval '1 day'")
    async with stores.raw.transaction():
        await stores.raw.execute("SELECT FROM consumers WHERE id = $1 FOR UPDATE", locked)
        async with asyncio.timeout(2):
            assert await stores.upkeep.prune_consumers() == 1
