"""What has waited while no consumer was alive starts within a second of the first one's registration."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.consuming import Consumers
from tests.support.counting import completed
from tests.support.eventually import eventually
from tests.support.stores import Stores, new

QUEUES = ("default", "mail", "reports")
PRIORITIES = (2, 9)
EACH = 60
PROMISED = timedelta(seconds=1)
SLACK = timedelta(seconds=0.5)
"""For the last of them, on a machine that others keep busy: with ten processes at its two processors it was 0.6 s."""


@pytest.mark.parametrize("redis", [True, False], ids=["Redis", "no Redis"])
async def test_rows_of_several_queues_and_priorities_start_within_a_second_of_the_registration(
    stores: Stores, consumers: Consumers, redis: bool
) -> None:
    """No list names them: nobody was alive when they came, so they had no audience."""
    n = len(QUEUES) * len(PRIORITIES) * EACH
    await stores.submit(
        *(
            new("count", queue=queue, priority=priority)
            for queue in QUEUES
            for priority in PRIORITIES
            for _ in range(EACH)
        )
    )
    await consumers.start(QUEUES=",".join(QUEUES), **({} if redis else {"REDIS_URL": ""}))
    await eventually(lambda: completed(stores, n), timeout=30)
    [(first, last, registered)] = await stores.raw.fetch(
        "SELECT min(started_at), max(started_at), (SELECT min(started_at) FROM consumers) FROM tasks"
    )
    assert timedelta() <= first - registered < PROMISED
    assert last - registered < PROMISED + SLACK
