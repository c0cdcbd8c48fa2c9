"""Consumers without PostgreSQL keep what their handlers returned, and nobody pays for the outage (R5, L5, U2)."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from tests.outages.conftest import Own
from tests.outages.modes import POSTGRESQL, REFUSES, SILENT, Mode
from tests.support.consuming import FULL, Consumer, Consumers
from tests.support.counting import charged, completed, payload
from tests.support.effects import effects
from tests.support.eventually import eventually
from tests.support.proxy import Proxy
from tests.support.stores import Stores, new, open_stores

LEASE = 1.5
OUTAGE_SECONDS = 45.0 if FULL else 4.0


@pytest.mark.parametrize("mode", POSTGRESQL, ids=str)
async def test_results_of_handlers_that_finish_during_an_outage_are_written_after_it(
    stores: Stores, consumers: Consumers, postgresql: Proxy, own: Own, mode: Mode
) -> None:
    end = consumers.file("end")
    consumer = await consumers.start(WORKER_QUEUE_MAXSIZE="20")
    await stores.submit_and_push(new("nap", payload=payload(until=str(end))) for _ in range(20))
    await eventually(lambda: len(consumers.runs("started")) == 20)
    await mode.leave(own, postgresql)
    end.touch()
    await eventually(lambda: len(consumers.runs("ended")) == 20)
    await mode.come_back(own, postgresql)
    async with open_stores(own.urls, stores.keys.prefix) as after:
        await eventually(lambda: completed(after, 20), timeout=20)
        await after.submit_and_push(new("count") for _ in range(20))
        await eventually(lambda: completed(after, 40), timeout=20)
        assert await charged(after) == 0
        assert len(consumers.runs("started")) == len(consumers.runs("ran")) == 20
        assert (await consumer.stop())[0] == 0


@pytest.mark.parametrize("mode", POSTGRESQL, ids=str)
async def test_an_outage_longer_than_every_lease_poisons_nobody_and_loses_no_result(
    stores: Stores, consumers: Consumers, postgresql: Proxy, own: Own, mode: Mode
) -> None:
    """Nobody was well enough to declare others dead. What finished is written as soon as PostgreSQL takes it."""
    end, never = consumers.file("end"), consumers.file("never")
    both = [
        await consumers.start(LEASE_SECONDS=str(LEASE), WORKER_QUEUE_MAXSIZE="10", QUEUES=queue)
        for queue in ("default", "other")
    ]
    finish = [new("nap", payload=payload(until=str(end)), queue=queue) for queue in _queues(5)]
    do_not = [new("nap", payload=payload(until=str(never)), queue=queue) for queue in _queues(3)]
    await stores.submit_and_push([*finish, *do_not])
    await eventually(lambda: len(consumers.runs("started")) == 16)

    await mode.leave(own, postgresql)
    began = time.monotonic()
    end.touch()
    await eventually(lambda: len(consumers.runs("ended")) == 10)
    # Nobody may run what others may take: handlers end with the trust in the lease.
    await eventually(lambda: len(consumers.runs("canceled")) == 6, timeout=LEASE + 10)
    await eventually(lambda: time.monotonic() - began > OUTAGE_SECONDS, timeout=OUTAGE_SECONDS + 10)
    await mode.come_back(own, postgresql)

    never.touch()
    async with open_stores(own.urls, stores.keys.prefix) as after:
        await eventually(lambda: completed(after, 16), timeout=30)
        assert await charged(after) == 0
    assert [consumer.events("lease.lost") for consumer in both] == [[], []]
    runs = Counter(run["id"] for run in consumers.runs("started"))
    assert {runs[str(task.id)] for task in finish} == {1}, "no finished result is lost"
    assert {runs[str(task.id)] for task in do_not} == {2}
    assert [(await consumer.stop())[0] for consumer in both] == [0, 0]


def _queues(n: int) -> list[str]:
    return ["default", "other"] * n


@pytest.mark.usefixtures("effects_table")
async def test_a_commit_that_falls_into_an_outage_takes_effect_once(
    stores: Stores, consumers: Consumers, postgresql: Proxy
) -> None:
    """Its answer is lost with the connection; the fenced give back decides (R6 session)."""
    end = consumers.file("end")
    consumer = await consumers.start(LEASE_SECONDS=str(LEASE))
    task = new("effect", payload=payload(until=str(end)))
    await stores.submit_and_push([task])
    await eventually(lambda: consumers.runs("wrote"))
    postgresql.lose_answers()
    end.touch()
    await eventually(lambda: consumers.runs("ended"))
    await consumer.event("store.lost", doing="beat")
    postgresql.drop()
    postgresql.resume()
    await eventually(lambda: completed(stores, 1), timeout=20)
    row = await stores.get(task.id)
    assert await effects(stores) == [str(row.fencing_token - 1)]
    assert row.crashes == 0


@pytest.mark.parametrize("mode", [REFUSES, SILENT], ids=str)
async def test_a_consumer_started_without_postgresql_waits_for_it(
    stores: Stores, consumers: Consumers, postgresql: Proxy, own: Own, mode: Mode
) -> None:
    await stores.submit_and_push([new("count")])
    await mode.leave(own, postgresql)
    consumer: Consumer = await consumers.launch()
    await consumer.event("store.lost", doing="start", within=20)
    await mode.come_back(own, postgresql)
    await consumer.event("consumer.started", within=20)
    await eventually(lambda: completed(stores, 1), timeout=20)
    assert (await consumer.stop())[0] == 0
