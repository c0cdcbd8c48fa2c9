"""Consumers that die, stall or kill themselves: all tasks run again, no effect is there twice (U2, L1 to L5, R6)."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from sluice.core.task import NewTask, Status, TaskId
from tests.support.consuming import FULL, KINDS, OURS, Consumers
from tests.support.counting import completed, payload, statuses
from tests.support.effects import effects
from tests.support.eventually import eventually
from tests.support.stores import Stores, new


async def test_what_a_killed_consumer_held_runs_elsewhere_and_counts_as_a_crash(
    stores: Stores, consumers: Consumers
) -> None:
    victim = await consumers.start(LEASE_SECONDS="1", WORKER_QUEUE_MAXSIZE="10")
    ids = await stores.submit_and_push(
        new("nap", payload=payload(until=str(consumers.file("end")))) for _ in range(10)
    )
    await eventually(lambda: len(consumers.runs("started")) == 10)
    heir = await consumers.start(LEASE_SECONDS="1", WORKER_QUEUE_MAXSIZE="10")
    victim.send(signal.SIGKILL)
    consumers.file("end").touch()
    await eventually(lambda: completed(stores, 10), timeout=15)
    rows = [await stores.get(task_id) for task_id in ids]
    assert {(row.attempt, row.crashes) for row in rows} == {(1, 1)}
    runs = Counter(run["pid"] for run in consumers.runs("started"))
    assert runs == {victim.pid: 10, heir.pid: 10}


async def test_a_lone_consumer_recovers_what_its_predecessor_left(
    stores: Stores, consumers: Consumers
) -> None:
    """Redis holds nothing of it any more: the ids were popped by the one that died."""
    victim = await consumers.start(LEASE_SECONDS="1", WORKER_QUEUE_MAXSIZE="5")
    await stores.submit_and_push(new("nap", payload=payload(seconds=0.4)) for _ in range(20))
    await eventually(lambda: len(consumers.runs("started")) == 5)
    victim.send(signal.SIGKILL)
    await victim.ended()
    await stores.redis("UNLINK", stores.keys.ready(OURS))
    await consumers.start(LEASE_SECONDS="1", WORKER_QUEUE_MAXSIZE="20")
    await eventually(lambda: completed(stores, 20), timeout=20)


@pytest.mark.usefixtures("effects_table")
async def test_a_zombie_that_wrote_through_its_session_takes_no_effect(
    stores: Stores, consumers: Consumers
) -> None:
    """Stopped past its lease after the write, then continued: the other run's effect is the only one."""
    zombie = await consumers.start(LEASE_SECONDS="1")
    end = consumers.file("end")
    task = new("effect", payload=payload(until=str(end)))
    await stores.submit_and_push([task])
    await eventually(lambda: consumers.runs("wrote"))
    with zombie.held():
        heir = await consumers.start(LEASE_SECONDS="1")
        await eventually(lambda: len(consumers.runs("wrote", pid=heir.pid)) == 1, timeout=15)
        end.touch()
        await eventually(lambda: completed(stores, 1))
    await zombie.event("lease.lost")
    row = await stores.get(task.id)
    assert await effects(stores) == [str(row.fencing_token - 1)]
    [witness] = await stores.submit_and_push([new("count")])
    await eventually(lambda: consumers.runs("ran", id=str(witness)))
    assert (await heir.stop())[0] == (await zombie.stop())[0] == 0
    assert await effects(stores) == [str(row.fencing_token - 1)]
    assert await stores.get(task.id) == row


async def test_a_consumer_that_was_declared_dead_goes_on_under_a_new_id(
    stores: Stores, consumers: Consumers
) -> None:
    consumer = await consumers.start(LEASE_SECONDS="1")
    [before] = await eventually(stores.browse.consumers)
    await consumers.start(LEASE_SECONDS="1")
    dead = "SELECT count(*) FROM consumers WHERE id = $1 AND expires_at = '-infinity'"
    with consumer.held():
        await eventually(lambda: stores.raw.fetchval(dead, before.id), timeout=15)

    async def its_ids() -> set[object]:
        return {one.id for one in await stores.browse.consumers() if one.pid == before.pid}

    [after] = await eventually(its_ids)
    assert after != before.id
    await stores.submit_and_push([new("count")])
    await eventually(lambda: completed(stores, 1))


async def _nobody_lives(stores: Stores) -> bool:
    return not await stores.browse.consumers()


async def test_a_thread_that_outlives_the_lease_ends_its_process(
    stores: Stores, consumers: Consumers
) -> None:
    """It cannot be stopped, and its task may run elsewhere: the process has no right to go on (L3 trust)."""
    zombie = await consumers.start(LEASE_SECONDS="1")
    await stores.submit_and_push([new("thread", payload=payload(until=str(consumers.file("end"))))])
    await eventually(lambda: consumers.runs("started"))
    with zombie.held():
        await eventually(lambda: _nobody_lives(stores), timeout=5)
    assert await zombie.ended(within=5) == 1
    assert any("handlers outlived the lease" in line for line in zombie.said)
    await consumers.start(LEASE_SECONDS="1")
    await eventually(lambda: len(consumers.runs("started")) == 2, timeout=10)
    consumers.file("end").touch()
    await eventually(lambda: completed(stores, 1))


async def test_a_task_that_kills_its_consumer_is_poisoned_and_its_neighbours_are_not(
    stores: Stores, consumers: Consumers
) -> None:
    """Three processes die of it; what ran beside it the first time runs again, and nothing else is held up."""
    parent = await consumers.start("--processes", "2", LEASE_SECONDS="1", WORKER_QUEUE_MAXSIZE="10")
    flag = consumers.file("deadly")
    flag.touch()
    deadly = new("die", payload=payload(**{"while": str(flag), "seconds": 0.2}))
    neighbours = [new("nap", payload=payload(seconds=0.6)) for _ in range(3)]
    await stores.submit_and_push([*neighbours, deadly])
    await eventually(lambda: _is(stores, deadly, Status.FAILED), timeout=40)
    await eventually(lambda: _completed(stores, 3), timeout=20)
    row = await stores.get(deadly.id)
    assert (row.crashes, (row.error or {})["type"]) == (3, "poisoned")
    assert len(consumers.runs("started", id=str(deadly.id))) == 3
    crashes = [(await stores.get(task.id)).crashes for task in neighbours]
    assert max(crashes) <= 2, "what one more crash would poison runs apart, and takes no one along"
    assert (await parent.stop())[0] == 0


async def test_a_suspect_that_kills_at_its_first_line_takes_none_along_that_came_with_it(
    stores: Stores, consumers: Consumers
) -> None:
    """One claim brings them all. The first one runs, and the process is gone before the others are given back (U2)."""
    flag = consumers.file("deadly")
    flag.touch()
    deadly = new("die", payload=payload(**{"while": str(flag)}))
    others = [new("nap") for _ in range(5)]
    tasks = [deadly, *others]
    await stores.submit(*tasks)
    await stores.raw.execute("UPDATE tasks SET crashes = 2")
    await stores.redis("LPUSH", stores.keys.ready(OURS), *(str(task.id) for task in tasks))
    parent = await consumers.start("--processes", "2", LEASE_SECONDS="1", WORKER_QUEUE_MAXSIZE="10")
    await eventually(lambda: _completed(stores, 5), timeout=20)
    await eventually(lambda: _is(stores, deadly, Status.FAILED), timeout=20)
    rows = [await stores.get(task.id) for task in tasks]
    assert [row.crashes for row in rows] == [3, 2, 2, 2, 2, 2]
    assert len(consumers.runs("started", id=str(deadly.id))) == 1
    assert (await parent.stop())[0] == 0


@pytest.mark.parametrize("redis", [True, False], ids=["hints", "no Redis"])
async def test_suspects_wait_for_one_another_as_they_are_and_run_one_right_after_the_other(
    stores: Stores, consumers: Consumers, redis: bool
) -> None:
    """Claimed in vain and given back, they changed their status hundreds of times a second, and few of them ran."""
    n, others = 24, 6
    suspects = [new("nap", payload=payload(seconds=0.15)) for _ in range(n)]
    innocents = [new("count") for _ in range(others)]
    await stores.submit(*suspects)
    await stores.raw.execute("UPDATE tasks SET crashes = 2")
    await stores.submit(*innocents)
    if redis:
        ids = [str(task.id) for task in (*suspects, *innocents)]
        await stores.redis("LPUSH", stores.keys.ready(OURS), *ids)
    environment = {"WORKER_QUEUE_MAXSIZE": "10"} | ({} if redis else {"REDIS_URL": ""})
    for _ in range(2):
        await consumers.start(**environment)
    await eventually(lambda: len(consumers.runs("ran")) == others, timeout=3)
    await eventually(lambda: _completed(stores, n + others), timeout=5 * 0.15 * n / 2)
    changes = await stores.raw.fetchval("SELECT sum(fencing_token) FROM tasks")
    assert changes <= 2 * (n + others) + 6, "one claim and one completion each"
    assert max(run["running"] for run in consumers.runs("started")) == 1


async def _is(stores: Stores, task: NewTask, status: Status) -> bool:
    return (await stores.get(task.id)).status is status


async def _completed(stores: Stores, n: int) -> bool:
    return (await statuses(stores)).get("completed", 0) == n


async def test_ids_lost_from_the_middle_of_a_long_list_are_found_again(
    stores: Stores, consumers: Consumers
) -> None:
    """The list never runs empty: fresh tasks keep coming until the lost ones have run.

    Naps bound the rate at which it is emptied, whatever else the machine does to the one that fills it.
    """
    n, lost_n, capacity = (100_000, 1_000, 50) if FULL else (6_000, 60, 10)

    async def submit_more() -> list[TaskId]:
        return await stores.submit_and_push(new("nap", payload=payload(seconds=0.004)) for _ in range(2000))

    await stores.consumer(kinds=KINDS)  # so that the ids are pushed before the one that runs them is there
    ids = [task_id for _ in range(n // 2000) for task_id in await submit_more()]
    middle = ids[n // 2 : n // 2 + lost_n]
    listed = await stores.heard()
    key = stores.keys.ready(listed)
    for task_id in middle:
        assert await stores.redis("LREM", key, -1, str(task_id)) == 1
    consumer = await consumers.start(
        LEASE_SECONDS="30" if FULL else "2", WORKER_QUEUE_MAXSIZE=str(capacity), LOG_LEVEL="debug"
    )
    fresh, lengths = 0, []

    async def all_ran() -> bool:
        nonlocal fresh
        lengths.append(len(await stores.entries(listed)))
        if lengths[-1] < 3000:
            fresh += 2000
            await submit_more()
        left = await stores.raw.fetchval(
            "SELECT count(*) FROM tasks WHERE id = ANY ($1) AND status <> 'completed'", middle
        )
        return bool(left == 0)

    await eventually(all_ran, timeout=60 if FULL else 30)
    assert min(lengths) > 0, "the list never ran empty"
    scanned = sum(event["n"] for event in consumer.events("tasks.scanned"))
    assert lost_n <= scanned < lost_n + 0.01 * (n + fresh - lost_n), "few others are claimed by the rows"
    runs = Counter(run["id"] for run in consumers.runs("started"))
    assert set(runs.values()) == {1}
