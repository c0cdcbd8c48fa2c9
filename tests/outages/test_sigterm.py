"""SIGTERM while stores are away: out in time every time, and honest about what is left (C3 drain)."""

from __future__ import annotations

import re
import signal

import pytest

from tests.outages.conftest import Everything, Own
from tests.outages.modes import KILLED, READONLY, REFUSES, SILENT, STOPPED, Mode
from tests.support.consuming import Consumers
from tests.support.counting import charged, completed, payload, statuses
from tests.support.eventually import eventually
from tests.support.proxy import Proxy
from tests.support.stores import Stores, new, open_stores

DRAIN, GRACE = 0.5, 1.0
LEFT = re.compile(
    "sluice consumer: PostgreSQL did not answer while stopping; other consumers will recover 3( to (53|100))? tasks"
)
"""A claim without an answer may have taken none, or one for each free slot, or as many as a look asks for."""


@pytest.mark.parametrize("mode", [READONLY, KILLED], ids=str)
async def test_without_redis_what_is_held_goes_back_and_the_status_is_zero(
    stores: Stores, consumers: Consumers, redis: Proxy, own: Own, mode: Mode
) -> None:
    """Silence and refusal are tested beside the other faults of a drain."""
    end = consumers.file("end")
    consumer = await consumers.start(DRAIN_SECONDS=str(DRAIN), WORKER_QUEUE_MAXSIZE="2")
    await stores.submit_and_push(new("nap", payload=payload(until=str(end))) for _ in range(3))
    await eventually(lambda: len(consumers.runs("started")) == 2)
    await mode.leave(own, redis)
    status, seconds = await consumer.stop()
    await mode.come_back(own, redis)
    assert (status, consumer.said) == (0, [])
    assert seconds < DRAIN + GRACE
    assert await statuses(stores) == {"pending": 3}
    assert await charged(stores) == 0
    assert await stores.browse.consumers() == []


@pytest.mark.parametrize(
    ("postgresql_is", "redis_is"),
    [
        (STOPPED, None),
        (STOPPED, KILLED),
        (SILENT, SILENT),
        (REFUSES, REFUSES),
        (SILENT, READONLY),
        (REFUSES, SILENT),
    ],
    ids=str,
)
async def test_without_postgresql_the_status_is_one_and_the_held_outcomes_are_counted(
    everything: Everything, postgresql_is: Mode, redis_is: Mode | None
) -> None:
    """One handler has finished and its outcome waits, two run: three rows are left to others."""
    e, consumers = everything, everything.consumers
    end, never = consumers.file("end"), consumers.file("never")
    consumer = await consumers.start(DRAIN_SECONDS=str(DRAIN), LEASE_SECONDS="2")
    await e.stores.submit_and_push(
        new("nap", payload=payload(until=str(file))) for file in (end, never, never)
    )
    await eventually(lambda: len(consumers.runs("started")) == 3)
    await postgresql_is.leave(e.own, e.postgresql)
    if redis_is is not None:
        await redis_is.leave(e.own, e.redis)
    end.touch()
    await eventually(lambda: consumers.runs("ended"))
    status, seconds = await consumer.stop()
    assert status == 1
    assert seconds < DRAIN + GRACE
    assert [line for line in consumer.said if LEFT.fullmatch(line)] == consumer.said != []
    if redis_is is not None:
        await redis_is.come_back(e.own, e.redis)
    await postgresql_is.come_back(e.own, e.postgresql)
    async with open_stores(e.own.urls, e.stores.keys.prefix) as after:
        assert await statuses(after) == {"processing": 3}
        never.touch()
        await consumers.start(LEASE_SECONDS="1")
        await eventually(lambda: completed(after, 3), timeout=20)


@pytest.mark.parametrize("redis_is", [REFUSES, SILENT, READONLY], ids=str)
async def test_a_consumer_that_never_saw_redis_stops_as_any_other(
    stores: Stores, consumers: Consumers, redis: Proxy, own: Own, redis_is: Mode
) -> None:
    await redis_is.leave(own, redis)
    consumer = await consumers.start(DRAIN_SECONDS=str(DRAIN))
    await stores.submit(new("nap", payload=payload(until=str(consumers.file("end")))))
    await eventually(lambda: len(consumers.runs("started")) == 1, timeout=15)
    status, seconds = await consumer.stop()
    await redis_is.come_back(own, redis)
    assert status == 0
    assert seconds < DRAIN + GRACE
    assert await statuses(stores) == {"pending": 1}


async def test_a_second_signal_during_an_outage_ends_it_at_once(
    stores: Stores, consumers: Consumers, postgresql: Proxy
) -> None:
    consumer = await consumers.start(DRAIN_SECONDS="30")
    await stores.submit_and_push([new("nap", payload=payload(until=str(consumers.file("end"))))])
    await eventually(lambda: len(consumers.runs("started")) == 1)
    postgresql.hang()
    consumer.send(signal.SIGTERM)
    await consumer.event("consumer.draining")
    status, seconds = await consumer.stop()
    assert status == 1
    assert seconds < GRACE
    assert re.search(r"will recover 1( to (51|100))? tasks", consumer.said[-1])  # a look may be under way


async def test_a_stop_just_after_an_outage_that_outlived_the_lease_leaves_no_row_behind(
    stores: Stores, consumers: Consumers, postgresql: Proxy
) -> None:
    """The rows of the id that was declared dead are this process's too (L5 new id)."""
    end = consumers.file("end")
    consumer = await consumers.start(LEASE_SECONDS="1", DRAIN_SECONDS="5")
    await stores.submit_and_push(
        new("nap", payload=payload(until=str(file))) for file in (end, consumers.file("never"))
    )
    await eventually(lambda: len(consumers.runs("started")) == 2)
    await postgresql.close()
    end.touch()
    await eventually(lambda: consumers.runs("canceled"), timeout=15)
    await eventually(lambda: _nobody_lives(stores))
    consumer.send(signal.SIGTERM)
    await consumer.event("consumer.draining")
    await postgresql.open()
    assert await consumer.ended(within=7) == 0
    assert await statuses(stores) == {"completed": 1, "pending": 1}
    assert await charged(stores) == 0


async def _nobody_lives(stores: Stores) -> bool:
    return not await stores.browse.consumers()
