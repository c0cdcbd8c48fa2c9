"""SIGTERM: nothing new starts, what runs may finish, the rest goes back, and the process is out in time (C3 drain)."""

from __future__ import annotations

import re
import signal
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.support.consuming import FULL, OURS, Consumers, lists
from tests.support.counting import charged, completed, payload, statuses
from tests.support.eventually import eventually
from tests.support.stores import Stores, new

TASKS = 20_000 if FULL else 2_000
GRACE = 1.0
"""What CONTRACT 4.5 allows after DRAIN_SECONDS."""


async def test_of_two_consumers_one_is_stopped_in_the_middle_and_each_task_runs_once(
    stores: Stores, consumers: Consumers
) -> None:
    first = await consumers.start(WORKER_QUEUE_MAXSIZE="20")
    await stores.heard()
    await consumers.start(WORKER_QUEUE_MAXSIZE="20")
    for _ in range(10):
        await stores.submit_and_push(new("count") for _ in range(TASKS // 10))
    await eventually(lambda: len(consumers.runs(pid=first.pid)) > TASKS // 20)

    status, seconds = await first.stop()

    assert status == 0
    assert seconds < 5 + GRACE
    assert len(consumers.runs(pid=first.pid)) < TASKS, "it was the middle"
    await eventually(lambda: completed(stores, TASKS), timeout=120 if FULL else 30)
    runs = Counter(run["id"] for run in consumers.runs("ran"))
    assert len(runs) == TASKS
    assert set(runs.values()) == {1}
    assert await charged(stores) == 0


async def test_running_tasks_may_finish_and_nothing_new_starts(stores: Stores, consumers: Consumers) -> None:
    consumer = await consumers.start(WORKER_QUEUE_MAXSIZE="3", LOG_LEVEL="debug")
    await stores.heard()
    naps = [new("nap", payload=payload(until=str(consumers.file("end")))) for _ in range(3)]
    with consumer.held():
        await stores.submit_and_push(naps)
    await eventually(lambda: len(consumers.runs("started")) == 3)
    waiting = await stores.submit_and_push([new("count")])
    consumer.send(signal.SIGTERM)
    await consumer.event("consumer.draining", running=3)
    consumers.file("end").touch()
    assert await consumer.ended() == 0
    assert await statuses(stores) == {"completed": 3, "pending": 1}
    assert await lists(stores, consumer, waiting)
    assert consumers.runs("ran") == []
    assert await stores.browse.consumers() == [], "its row goes with it"
    assert await stores.redis("KEYS", f"{stores.keys.prefix}:wake:*") == []


async def test_what_does_not_finish_in_time_is_canceled_and_runs_elsewhere_uncharged(
    stores: Stores, consumers: Consumers
) -> None:
    consumer = await consumers.start(WORKER_QUEUE_MAXSIZE="2", DRAIN_SECONDS="0.3", LOG_LEVEL="debug")
    await stores.heard()
    naps = [new("nap", payload=payload(until=str(consumers.file("end"))), max_attempts=1) for _ in range(2)]
    with consumer.held():
        ids = await stores.submit_and_push(naps)
    await eventually(lambda: len(consumers.runs("started")) == 2)
    status, seconds = await consumer.stop()
    assert status == 0
    assert 0.3 <= seconds < 0.3 + GRACE
    assert len(consumers.runs("canceled")) == 2
    assert await statuses(stores) == {"pending": 2}
    assert await charged(stores) == 0
    assert await lists(stores, consumer, ids), "on their list again at once"
    consumers.file("end").touch()
    await consumers.start()
    await eventually(lambda: completed(stores, 2))


async def test_ids_that_wait_for_a_slot_go_back_in_their_order(stores: Stores, consumers: Consumers) -> None:
    """Quick tasks make it pull ahead; then slow ones take every slot while their successors wait."""
    consumer = await consumers.start(WORKER_QUEUE_MAXSIZE="4", DRAIN_SECONDS="0.2", LOG_LEVEL="debug")
    await stores.heard()
    quick = [new("count") for _ in range(200)]
    slow = [new("nap", payload=payload(until=str(consumers.file("end")))) for _ in range(12)]
    with consumer.held():
        await stores.submit_and_push([*quick, *slow])
    await eventually(lambda: len(consumers.runs("started")) == 4)
    status, seconds = await consumer.stop()
    assert status == 0
    assert seconds < 0.2 + GRACE
    assert consumer.events("tasks.given_back"), "some were pulled and never started"
    assert await lists(stores, consumer, [task.id for task in slow])
    back = [str(task.id) for task in slow]
    listed = [*dict.fromkeys(reversed(await stores.entries(OURS)))]
    for ahead in (back[4:8], back[8:]):  # what was claimed goes back by its rows, the others by their list
        assert [task_id for task_id in listed if task_id in ahead] == ahead
    assert len(consumers.runs("started")) == 4
    assert await charged(stores) == 0


@pytest.mark.parametrize("released", [True, False])
async def test_a_claim_in_flight_is_awaited_and_what_it_brings_given_back_or_counted(
    stores: Stores, consumers: Consumers, released: bool
) -> None:
    drain = "1" if released else "0.2"  # sooner than the lock is given up
    consumer = await consumers.start(DRAIN_SECONDS=drain, LOG_LEVEL="debug")
    await stores.heard()
    tasks = [new("count") for _ in range(5)]
    async with stores.raw.transaction():
        with consumer.held():
            await stores.submit_and_push(tasks)
            await stores.raw.execute("LOCK TABLE tasks IN SHARE ROW EXCLUSIVE MODE")
        await stores.waited_for("The only gate")
        began = time.monotonic()
        consumer.send(signal.SIGTERM)
        await consumer.event("consumer.draining")
        if not released:  # it is broken off, and nobody knows what PostgreSQL will make of it
            assert await consumer.ended() == 1
            assert time.monotonic() - began < 0.2 + GRACE
            # A look of its own may have found the rows as well, and ask for 50 by them.
            assert re.search("will recover 0 to (5|55) tasks", consumer.said[-1])
    if released:
        assert await consumer.ended() == 0
        assert await statuses(stores) == {"pending": 5}
        # A look of its own may have claimed them before.
        tokens = {(await stores.get(task.id)).fencing_token for task in tasks}
        assert tokens in ({2}, {4}), "each time they were claimed they were given back"
        assert await lists(stores, consumer, [task.id for task in tasks])
        assert await charged(stores) == 0
    assert consumers.runs() == []
    await consumers.start(LEASE_SECONDS="1")
    await eventually(lambda: completed(stores, 5))
    assert Counter(run["id"] for run in consumers.runs()) == Counter(str(task.id) for task in tasks)


async def test_no_time_to_drain_gives_everything_back_at_once(stores: Stores, consumers: Consumers) -> None:
    consumer = await consumers.start(DRAIN_SECONDS="0")
    await stores.heard()
    await stores.submit_and_push(new("nap", payload=payload(seconds=60)) for _ in range(20))
    await eventually(lambda: len(consumers.runs("started")) == 20)
    status, seconds = await consumer.stop()
    assert status == 0
    assert seconds < GRACE
    assert await statuses(stores) == {"pending": 20}
    assert await charged(stores) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_skips_the_waiting(
    stores: Stores, consumers: Consumers, number: signal.Signals
) -> None:
    consumer = await consumers.start(DRAIN_SECONDS="60")
    await stores.heard()
    await stores.submit_and_push([new("nap", payload=payload(seconds=60))])
    await eventually(lambda: consumers.runs("started"))
    consumer.send(number)
    await consumer.event("consumer.draining")
    began = time.monotonic()
    consumer.send(number)
    assert await consumer.ended() == 0
    assert time.monotonic() - began < GRACE
    assert await statuses(stores) == {"pending": 1}
    assert await charged(stores) == 0


async def test_a_thread_that_does_not_end_is_left_and_its_row_given_back_last(
    stores: Stores, consumers: Consumers
) -> None:
    consumer = await consumers.start(DRAIN_SECONDS="0.2")
    await stores.heard()
    end = consumers.file("end")
    deaf = new("thread", payload=payload(until=str(end)))
    listens = new("thread", payload=payload(until=str(end), listens=True))
    await stores.submit_and_push([deaf, listens])
    await eventually(lambda: len(consumers.runs("started")) == 2)
    status, seconds = await consumer.stop()
    assert status == 0
    assert seconds < 0.2 + GRACE
    assert [run["id"] for run in consumers.runs("canceled")] == [str(listens.id)]
    assert await statuses(stores) == {"pending": 2}
    assert await charged(stores) == 0
    assert len(await stores.entries(OURS)) == 2
    assert await stores.browse.consumers() == []


async def test_a_thread_that_ends_in_time_completes(stores: Stores, consumers: Consumers) -> None:
    consumer = await consumers.start()
    await stores.heard()
    await stores.submit_and_push([new("thread", payload=payload(until=str(consumers.file("end"))))])
    await eventually(lambda: consumers.runs("started"))
    consumer.send(signal.SIGTERM)
    await consumer.event("consumer.draining")
    consumers.file("end").touch()
    assert await consumer.ended() == 0
    assert await statuses(stores) == {"completed": 1}


async def test_a_child_process_that_does_not_end_is_killed(stores: Stores, consumers: Consumers) -> None:
    consumer = await consumers.start(DRAIN_SECONDS="0.2")
    await stores.heard()
    await stores.submit_and_push([new("compute", payload=payload(until=str(consumers.file("end"))))])
    [started] = await eventually(lambda: consumers.runs("started"))
    assert started["pid"] != consumer.pid
    status, seconds = await consumer.stop()
    assert status == 0
    assert seconds < 0.2 + GRACE
    assert await statuses(stores) == {"pending": 1}
    assert await charged(stores) == 0
    await eventually(lambda: not psutil.pid_exists(started["pid"]))


async def test_a_stop_before_the_start_is_over_stops(stores: Stores, consumers: Consumers) -> None:
    consumers.cold = True
    consumer = await consumers.launch()
    await eventually(lambda: _handles_sigterm(consumer.pid))
    assert (await consumer.stop(within=20))[0] == 0


def _handles_sigterm(pid: int) -> bool:
    facts = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(facts["SigCgt"], 16) >> (signal.SIGTERM - 1) & 1)


async def test_many_drains_in_a_row_lose_and_repeat_nothing(stores: Stores, consumers: Consumers) -> None:
    """Each consumer is stopped at some other moment of its work."""
    n = 300
    await stores.submit_and_push(new("nap", payload=payload(seconds=0.02)) for _ in range(n))
    for at in range(4):
        consumer = await consumers.start(WORKER_QUEUE_MAXSIZE="8")
        so_far = len(consumers.runs("started"))
        await eventually(lambda so_far=so_far, at=at: len(consumers.runs("started")) > so_far + 7 * at)  # type: ignore[misc]
        assert (await consumer.stop())[0] == 0
    await consumers.start()
    await eventually(lambda: completed(stores, n), timeout=20)
    assert Counter(run["id"] for run in consumers.runs("ended")).most_common(1)[0][1] == 1
    assert (await stores.raw.fetchval("SELECT max(attempt) FROM tasks")) == 1
