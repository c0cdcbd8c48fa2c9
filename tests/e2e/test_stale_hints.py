"""A list that is full of what is over: as after a wave of cancels, or a Redis that came back as it was an hour ago."""

from __future__ import annotations

from sluice.core.task import Status, TaskId
from tests.support.consuming import KINDS, Consumers
from tests.support.eventually import eventually
from tests.support.stores import Stores, new

STALE, TIMES = 2_000, 50
_LONG_OVER = (
    "UPDATE tasks SET status = 'canceled', canceled_from = 'pending', finished_at = now() - interval '1 hour'"
)


async def test_new_tasks_do_not_wait_until_it_is_worked_off(stores: Stores, consumers: Consumers) -> None:
    """With one slot that takes a round trip for each of them."""
    await stores.consumer(kinds=KINDS)  # so that the ids are pushed before the one that runs them is there
    listed = await stores.heard()
    over = [new("count") for _ in range(STALE)]
    await stores.submit(*over)
    await stores.raw.execute(_LONG_OVER)
    for _ in range(TIMES):
        await stores.ready.push({listed: [task.id for task in over]})
    await consumers.start(WORKER_QUEUE_MAXSIZE="1")

    for _ in range(3):
        [task_id] = await stores.submit_and_push([new("count")])

        async def done(task_id: TaskId = task_id) -> bool:
            return (await stores.get(task_id)).status is Status.COMPLETED

        await eventually(done, timeout=10)

    assert len(await stores.entries(listed)) > STALE, "otherwise nothing was shown"
