"""Canceling: what was pending never runs, what runs stops at once, whatever its mode (C1 cancel, S3 cancels)."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from statistics import median

import psutil
import pytest

from sluice.core.errors import TransitionRefused
from sluice.core.task import NewTask, Status, Task, TaskId
from tests.support.consuming import FULL, Consumers
from tests.support.counting import completed, payload, statuses
from tests.support.eventually import eventually
from tests.support.stores import Stores, new

STORM = 1_000 if FULL else 200
SOON = 0.1
"""What CONTRACT 3 promises for the 99th percentile, on a machine that does nothing else."""


async def _cancel(stores: Stores, task_id: TaskId) -> tuple[Task, float]:
    """As the API does it: the row, then the message. The task, and when the row was canceled."""
    task, _ = await stores.tasks.cancel(task_id)
    at = time.monotonic()
    await stores.signals.tell_canceled(task)
    return task, at


async def test_a_storm_of_cancels_while_consumers_drain_the_queue(
    stores: Stores, consumers: Consumers
) -> None:
    for _ in range(2):
        await consumers.start(WORKER_QUEUE_MAXSIZE="10")
    ids = await stores.submit_and_push(new("nap", payload=payload(seconds=0.3)) for _ in range(STORM * 2))
    await eventually(lambda: len(consumers.runs("started")) >= 20)
    canceled: dict[str, tuple[Task, float]] = {}

    async def storm(mine: list[TaskId]) -> None:
        for task_id in mine:
            with suppress(TransitionRefused):  # it had completed
                canceled[str(task_id)] = await _cancel(stores, task_id)

    half = ids[: STORM // 2] + ids[-STORM // 2 :]  # those that run now, and those that run last
    await asyncio.gather(*(storm(half[at::8]) for at in range(8)))
    if not FULL:  # the others have shown what they are here for
        await asyncio.gather(*(storm(ids[at::8]) for at in range(8)))

    await eventually(lambda: _nobody_waits(stores), timeout=60)
    started = {run["id"] for run in consumers.runs("started")}
    never = {task_id for task_id, (task, _) in canceled.items() if task.canceled_from is Status.PENDING}
    assert never
    assert not never & started, "canceled before its claim, and it ran"

    stopped = {run["id"]: run["at"] for run in consumers.runs("canceled")}
    ran = {task_id: at for task_id, (task, at) in canceled.items() if task.canceled_from is Status.PROCESSING}
    assert ran
    assert not set(ran) & {run["id"] for run in consumers.runs("ended", attempt=2)}
    late = sorted(stopped[task_id] - at for task_id, at in ran.items() if task_id in stopped)
    assert len(late) > len(ran) / 2
    assert median(late) < SOON
    if FULL:
        assert late[int(0.99 * len(late))] < SOON
    rows = await stores.raw.fetch(
        "SELECT id, status FROM tasks WHERE status NOT IN ('canceled', 'completed')"
    )
    assert rows == []


async def _nobody_waits(stores: Stores) -> bool:
    return not set(await statuses(stores)) & {"pending", "processing"}


@pytest.mark.parametrize("listening", [True, False], ids=["with a message", "without any"])
async def test_a_running_handler_stops_and_its_outcome_is_dropped(
    stores: Stores, consumers: Consumers, listening: bool
) -> None:
    """Without the message, reconciling with the rows finds it soon (L4 reconcile)."""
    await consumers.start(LEASE_SECONDS="1")
    [task_id] = await stores.submit_and_push([new("nap", payload=payload(seconds=60))])
    await eventually(lambda: consumers.runs("started"))
    if listening:
        _, at = await _cancel(stores, task_id)
    else:
        await stores.tasks.cancel(task_id)
        at = time.monotonic()
    [stopped] = await eventually(lambda: consumers.runs("canceled"))
    assert stopped["at"] - at < (0.3 if listening else 1.5)
    canceled = await stores.get(task_id)
    await stores.submit_and_push([new("count")])
    await eventually(lambda: consumers.runs("ran"))
    assert await stores.get(task_id) == canceled


async def test_a_child_process_is_killed_on_cancel_and_on_timeout(
    stores: Stores, consumers: Consumers
) -> None:
    await consumers.start()
    never = str(consumers.file("never"))
    first = new("compute")  # the fork server takes its time to start
    canceled = new("compute", payload=payload(until=never))
    late = new("compute", payload=payload(until=never), timeout=4.0, max_attempts=1)
    await stores.submit_and_push([first])
    await eventually(lambda: _is(stores, first, Status.COMPLETED))
    await stores.submit_and_push([canceled, late])
    await eventually(lambda: len(consumers.runs("started")) == 3)
    pids = {run["id"]: run["pid"] for run in consumers.runs("started")}
    _, at = await _cancel(stores, canceled.id)
    await eventually(lambda: not psutil.pid_exists(pids[str(canceled.id)]), timeout=2)
    assert time.monotonic() - at < 1.5
    await eventually(lambda: not psutil.pid_exists(pids[str(late.id)]), timeout=8)
    await eventually(lambda: _is(stores, late, Status.FAILED))
    assert ((await stores.get(late.id)).error or {})["type"] == "Timeout"
    assert (await stores.get(canceled.id)).status is Status.CANCELED


async def _is(stores: Stores, task: NewTask, status: Status) -> bool:
    return (await stores.get(task.id)).status is status


async def test_a_child_process_that_dies_fails_its_own_task_only(
    stores: Stores, consumers: Consumers
) -> None:
    await consumers.start()
    dies, lives = new("compute", payload=payload(dies=7), max_attempts=1), new("compute")
    beside = new("nap", payload=payload(seconds=0.3))
    await stores.submit_and_push([dies, lives, beside])
    await eventually(lambda: _is(stores, dies, Status.FAILED))
    assert ((await stores.get(dies.id)).error or {})["type"] == "ChildDied"
    await eventually(lambda: _is(stores, lives, Status.COMPLETED))
    await eventually(lambda: _is(stores, beside, Status.COMPLETED))
    assert (await stores.get(dies.id)).crashes == 0


async def test_a_thread_sees_that_it_was_canceled(stores: Stores, consumers: Consumers) -> None:
    await consumers.start()
    [task_id] = await stores.submit_and_push(
        [new("thread", payload=payload(until=str(consumers.file("never")), listens=True))]
    )
    await eventually(lambda: consumers.runs("started"))
    _, at = await _cancel(stores, task_id)
    [seen] = await eventually(lambda: consumers.runs("canceled"))
    assert seen["at"] - at < 0.5


async def test_a_message_about_an_earlier_run_stops_no_later_one(
    stores: Stores, consumers: Consumers
) -> None:
    """The message names the run that it means, by its token."""
    await consumers.start()
    end = consumers.file("end")
    [task_id] = await stores.submit_and_push([new("nap", payload=payload(until=str(end)))])
    await eventually(lambda: consumers.runs("started"))
    canceled, _ = await _cancel(stores, task_id)
    await eventually(lambda: consumers.runs("canceled"))
    await stores.tasks.retry(task_id)
    await stores.ready.push({await stores.heard(): [task_id]})
    await eventually(lambda: len(consumers.runs("started")) == 2)
    await stores.signals.tell_canceled(canceled)
    witness = await stores.submit_and_push([new("nap", payload=payload(seconds=60))])
    await eventually(lambda: len(consumers.runs("started")) == 3)
    await _cancel(stores, witness[0])
    await eventually(lambda: len(consumers.runs("canceled")) == 2)
    end.touch()
    await eventually(lambda: _completed_one(stores))
    assert len(consumers.runs("canceled", id=str(task_id))) == 1


async def _completed_one(stores: Stores) -> bool:
    return (await statuses(stores)).get("completed") == 1


async def test_without_redis_a_running_handler_is_stopped_by_its_row(
    stores: Stores, consumers: Consumers
) -> None:
    await consumers.start(REDIS_URL="", LEASE_SECONDS="1")
    tasks = [new("nap", payload=payload(seconds=60)), new("count")]
    await stores.submit(*tasks)
    await eventually(lambda: consumers.runs("started"))
    await stores.tasks.cancel(tasks[0].id)
    await eventually(lambda: consumers.runs("canceled"), timeout=3)
    assert not await completed(stores, 2)
