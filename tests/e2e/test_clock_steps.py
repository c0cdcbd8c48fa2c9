"""The database's clock steps by a minute, either way, and nobody is charged for it.

A clock cannot be set for one test: every instant that is stored moves the other way instead.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from tests.support.consuming import Consumers
from tests.support.counting import charged, completed, payload, statuses
from tests.support.eventually import eventually
from tests.support.stores import Stores, new

MINUTE = timedelta(minutes=1)
_MOVE = (
    "UPDATE consumers SET started_at = started_at + $1, beat_at = beat_at + $1, expires_at = expires_at + $1",
    "UPDATE upkeep SET next_run_at = next_run_at + $1",
    (
        "UPDATE upkeep SET cursor = jsonb_set(CAST(cursor AS jsonb), '{run_at}', "
        "to_jsonb(CAST(cursor->>'run_at' AS timestamptz) + $1)) "
        "WHERE step = 'promote' AND CAST(cursor->>'run_at' AS timestamptz) > '1970-01-01'"
    ),
    (
        "UPDATE tasks SET created_at = created_at + $1, updated_at = updated_at + $1, run_at = run_at + $1, "
        "started_at = started_at + $1, finished_at = finished_at + $1"
    ),
)


async def step(stores: Stores, by: timedelta) -> None:
    """The clock moves by so much, as far as anybody can tell."""
    for statement in _MOVE:
        await stores.raw.execute(statement, -by)


async def judges(stores: Stores, *, turns: int) -> None:
    """Until reap has had so many turns more: only who may judge takes one, after a whole lease of good beats."""
    seen: set[object] = set()

    async def look() -> bool:
        seen.add(await stores.raw.fetchval("SELECT next_run_at FROM upkeep WHERE step = 'reap'"))
        return len(seen) > turns

    await eventually(look, timeout=30)


@pytest.mark.parametrize("by", [MINUTE, -MINUTE], ids=["ahead", "back"])
async def test_running_tasks_are_neither_charged_nor_started_again(
    stores: Stores, consumers: Consumers, by: timedelta
) -> None:
    """A hundred of a hundred running tasks had a crash on their account after a step ahead."""
    started = [await consumers.start(LEASE_SECONDS="3", WORKER_QUEUE_MAXSIZE="30") for _ in range(2)]
    go = consumers.file("go")
    await stores.submit_and_push([new("nap", payload=payload(until=str(go))) for _ in range(60)])
    await eventually(lambda: len(consumers.runs("started")) == 60)
    await judges(stores, turns=1)
    await step(stores, by)
    await judges(stores, turns=4)
    assert await charged(stores) == 0
    assert len(consumers.runs("started")) == 60
    assert not consumers.runs("canceled")
    go.touch()
    await eventually(lambda: completed(stores, 60))
    assert not any(consumer.events("lease.lost") for consumer in started)
    assert len(consumers.runs("ended")) == 60


@pytest.mark.parametrize("by", [MINUTE, -MINUTE], ids=["ahead", "back"])
async def test_what_a_dead_consumer_held_is_taken_back_in_time_however_its_lease_reads(
    stores: Stores, consumers: Consumers, by: timedelta
) -> None:
    """After a step back its lease seems to run for a minute more."""
    doomed = await consumers.start(LEASE_SECONDS="2")
    [task] = await stores.submit_and_push([new("nap", payload=payload(until=str(consumers.file("go"))))])
    await eventually(lambda: len(consumers.runs("started")) == 1)
    await consumers.start(LEASE_SECONDS="2")
    doomed.process.kill()
    await doomed.ended()
    await step(stores, by)
    # After a step back it would be due in a minute: late, and not lost.
    await stores.raw.execute("UPDATE tasks SET run_at = now() - interval '1 second'")
    await eventually(lambda: len(consumers.runs("started")) == 2, timeout=15)
    assert (await stores.get(task)).crashes == 1
    consumers.file("go").touch()
    await eventually(lambda: completed(stores, 1))


@pytest.mark.parametrize(
    ("by", "delay"),
    [(MINUTE, MINUTE + timedelta(seconds=3)), (timedelta(seconds=-3), timedelta(seconds=3))],
    ids=["ahead", "back"],
)
async def test_delayed_and_retried_rows_start_once_by_the_stepped_clock(
    stores: Stores, consumers: Consumers, by: timedelta, delay: timedelta
) -> None:
    """Those that fall due in the time that a step ahead leaves out start at once, and none is charged for the step."""
    for _ in range(2):
        await consumers.start(WORKER_QUEUE_MAXSIZE="50")
    await stores.heard()
    waits = delay.total_seconds()
    before = [new("count", delay=wait) for wait in (waits, waits / 2, 1.5) for _ in range(10)]
    retried = [new("again", payload=payload(after=wait)) for wait in (waits, waits / 2) for _ in range(10)]
    await stores.submit_and_push([*before, *retried])
    await eventually(lambda: len(consumers.runs("ran")) >= 30, timeout=20)
    await eventually(lambda: _none_runs(stores))
    await step(stores, by)
    stepped_at = await stores.raw.fetchval("SELECT clock_timestamp()")
    after = [new("count", delay=1.5) for _ in range(10)]  # due before promote's cursor after a step back
    await stores.submit_and_push(after)

    await eventually(lambda: completed(stores, 60), timeout=30)

    tries = Counter(run["id"] for run in consumers.runs("ran"))
    assert tries == {str(task.id): 2 if task in retried else 1 for task in (*before, *retried, *after)}
    rows = await stores.raw.fetch("SELECT id, run_at, started_at, crashes, attempt FROM tasks")
    assert {row["crashes"] for row in rows} == {0}
    assert all(row["attempt"] == tries[str(row["id"])] for row in rows)
    assert all(row["started_at"] >= row["run_at"] for row in rows)
    late = [
        row["started_at"] - max(row["run_at"], stepped_at) for row in rows if row["started_at"] > stepped_at
    ]
    assert len(late) >= len(after)
    assert max(late) < timedelta(seconds=5)


async def _none_runs(stores: Stores) -> bool:
    return not (await statuses(stores)).get("processing")
