"""A handler that holds the loop for longer than every answer is waited for: who did it, and that no store is blamed."""

from __future__ import annotations

from sluice.core.task import Status, TaskId
from tests.support.consuming import Consumers
from tests.support.counting import payload
from tests.support.eventually import eventually
from tests.support.stores import Stores, new


async def test_the_task_is_named_and_no_store_counts_as_away(stores: Stores, consumers: Consumers) -> None:
    consumer = await consumers.start()
    await stores.heard()
    task = new("block", payload=payload(seconds=6.0))
    await stores.submit_and_push([task])

    stalled = await consumer.event("loop.stalled", within=15)
    assert stalled["tasks"] == [f"block {task.id}"]
    assert "time.sleep" in stalled["stack"]

    ended = await consumer.event("task.completed", task=str(task.id), within=15)
    assert ended["ran_seconds"] >= 6
    await eventually(lambda: _is_completed(stores, task.id))
    second = new("count")
    await stores.submit_and_push([second])
    await eventually(lambda: _is_completed(stores, second.id))
    assert consumer.events("store.lost") == []


async def _is_completed(stores: Stores, task: TaskId) -> bool:
    return (await stores.get(task)).status is Status.COMPLETED
