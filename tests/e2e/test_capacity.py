"""Never more handlers than WORKER_QUEUE_MAXSIZE (C2), no idle consumer without work, no lease lost to a busy loop."""

from __future__ import annotations

from sluice.core.task import QueueName
from tests.support.consuming import Consumers
from tests.support.counting import charged, completed, payload
from tests.support.eventually import eventually
from tests.support.stores import Stores, new

TURNS = 5


async def test_seven_of_fifty_run_at_once_and_an_idle_consumer_gets_work_within_a_second(
    stores: Stores, consumers: Consumers
) -> None:
    first = await consumers.start(WORKER_QUEUE_MAXSIZE="7")
    end = consumers.file("end")
    await stores.submit_and_push(new("nap", payload=payload(seconds=0.05, until=str(end))) for _ in range(50))
    await eventually(lambda: len(consumers.runs("started")) == 7)
    second = await consumers.start(WORKER_QUEUE_MAXSIZE="7")
    await eventually(lambda: consumers.runs("started", pid=second.pid), timeout=1)
    end.touch()
    await eventually(lambda: completed(stores, 50))
    started = consumers.runs("started")
    assert len(started) == 50
    assert max(run["running"] for run in started) == 7
    assert {run["pid"] for run in started} == {first.pid, second.pid}


async def test_ids_that_a_full_consumer_pulled_ahead_go_to_an_idle_one_within_a_second(
    stores: Stores, consumers: Consumers
) -> None:
    """Quick handlers made it look ahead; then slow ones came, and their successors wait in its memory.

    On a busy machine quick ones may not be quick enough for it to look ahead: then the next turn has to show it.
    """
    for turn in range(1, TURNS + 1):
        if await _given_back_ahead(stores, consumers, turn):
            break
    else:
        raise AssertionError("it never looked ahead")
    assert max(run["running"] for run in consumers.runs("started")) == 5
    assert await charged(stores) == 0


async def _given_back_ahead(stores: Stores, consumers: Consumers, turn: int) -> bool:
    """Whether what a full consumer had prefetched was given back; an idle one had it within a second."""
    first = await consumers.start(WORKER_QUEUE_MAXSIZE="5", LOG_LEVEL="debug")
    end = consumers.file(f"end-{turn}")
    slow = [new("nap", payload=payload(until=str(end))) for _ in range(10)]
    await stores.heard()
    with first.held():
        await stores.submit_and_push([*(new("count") for _ in range(200)), *slow])
    await eventually(lambda: len(consumers.runs("started", pid=first.pid)) == 5)
    second = await consumers.start(WORKER_QUEUE_MAXSIZE="5")
    await eventually(lambda: len(consumers.runs("started", pid=second.pid)) == 5, timeout=3)
    end.touch()
    await eventually(lambda: completed(stores, 210 * turn))
    for consumer in (first, second):
        assert (await consumer.stop())[0] == 0
    return bool(first.events("tasks.given_back", why="full, prefetched"))


async def test_threads_and_children_count_as_handlers(stores: Stores, consumers: Consumers) -> None:
    await consumers.start(WORKER_QUEUE_MAXSIZE="3")
    end = consumers.file("end")
    kinds = ("thread", "compute", "nap") * 3
    await stores.submit_and_push(new(kind, payload=payload(until=str(end))) for kind in kinds)
    await eventually(lambda: len(consumers.runs("started")) == 3)
    assert await stores.raw.fetchval("SELECT count(*) FROM tasks WHERE status = 'pending'") == 6
    end.touch()
    await eventually(lambda: completed(stores, 9), timeout=20)
    ends = sorted((run["at"], run["what"]) for run in consumers.runs())
    running = most = 0
    for _, what in ends:
        running += 1 if what == "started" else -1
        most = max(most, running)
    assert most <= 3


async def test_a_thread_that_was_timed_out_keeps_its_slot_until_it_ends(
    stores: Stores, consumers: Consumers
) -> None:
    await consumers.start(WORKER_QUEUE_MAXSIZE="1")
    end = consumers.file("end")
    stuck = new("thread", payload=payload(until=str(end)), timeout=0.2, max_attempts=1)
    behind = new("count")
    await stores.submit_and_push([stuck])
    await eventually(lambda: consumers.runs("started"))
    await stores.submit_and_push([behind])
    await eventually(lambda: _failed(stores, 1))
    row = await stores.get(stuck.id)
    assert (row.error or {})["type"] == "Timeout", "its row does not wait for it"
    assert consumers.runs("ran") == [], "its slot does"
    end.touch()
    await eventually(lambda: consumers.runs("ran"))
    assert len(consumers.runs("ended")) == 1
    assert (await stores.get(stuck.id)).status == "failed", "whatever it still returned is dropped"


async def _failed(stores: Stores, n: int) -> bool:
    return bool(await stores.raw.fetchval("SELECT count(*) = $1 FROM tasks WHERE status = 'failed'", n))


async def test_a_handler_that_blocks_the_loop_for_three_leases_loses_no_lease(
    stores: Stores, consumers: Consumers
) -> None:
    consumer = await consumers.start(LEASE_SECONDS="1")
    judge = await consumers.start(LEASE_SECONDS="1", QUEUES="elsewhere")
    task = new("block", payload=payload(seconds=3.0))
    await stores.submit_and_push([task])
    await eventually(lambda: completed(stores, 1))
    row = await stores.get(task.id)
    assert (row.attempt, row.crashes, row.fencing_token) == (1, 0, 2)
    assert len(consumers.runs("started")) == 1
    assert consumer.events("lease.lost") == judge.events("upkeep.done", step="reap") == []
    assert row.finished_at is not None
    assert row.started_at is not None
    assert (row.finished_at - row.started_at).total_seconds() >= 3


async def test_higher_priorities_first_and_every_queue_of_its_own(
    stores: Stores, consumers: Consumers
) -> None:
    low = [new("count", priority=0, queue=QueueName(queue)) for queue in ("a", "b") for _ in range(3)]
    high = [new("count", priority=9, queue=QueueName(queue)) for queue in ("a", "b") for _ in range(3)]
    other = new("count", queue=QueueName("c"))
    await stores.submit_and_push([*low, *high, other])
    await consumers.start("--queues", "a,b", WORKER_QUEUE_MAXSIZE="1")
    await eventually(lambda: len(consumers.runs()) == 12)
    order = [run["id"] for run in consumers.runs()]
    assert set(order[:6]) == {str(task.id) for task in high}
    assert (await stores.get(other.id)).status == "pending"
