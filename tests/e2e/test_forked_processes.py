"""Processes that handlers fork: what happens to them happens to nobody else."""

from __future__ import annotations

import signal

import pytest

from tests.support.consuming import Consumers
from tests.support.counting import charged, completed, payload, statuses
from tests.support.eventually import eventually
from tests.support.stores import Stores, new

LEAVING = "tests.support.leaving"
N = 20
NUMBERS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


@pytest.mark.parametrize("number", NUMBERS)
async def test_a_signal_to_a_process_that_a_handler_forked_stops_no_consumer(
    stores: Stores, consumers: Consumers, number: signal.Signals
) -> None:
    consumer = await consumers.start(HANDLERS=LEAVING)
    await stores.submit_and_push(
        new("fork-and-signal", payload=payload(number=int(number)), max_attempts=1) for _ in range(N)
    )
    await eventually(lambda: completed(stores, N), timeout=20)
    assert consumer.events("consumer.draining") == []
    assert (await consumer.stop())[0] == 0
    assert await statuses(stores) == {"completed": N}
    assert await charged(stores) == 0
