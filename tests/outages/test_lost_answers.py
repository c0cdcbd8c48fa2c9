"""Answers that never arrive, to a claim (L4), a pop (U4) or a finish (R5), and a zombie's that come too late (R2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from redis import Redis

from sluice.core.task import Status, TaskId
from tests.outages.conftest import Everything
from tests.support.consuming import Consumers
from tests.support.counting import charged, completed, payload
from tests.support.eventually import eventually
from tests.support.proxy import Proxy
from tests.support.stores import Stores, new


def lose_answer_to(
    proxy: Proxy, words: bytes, *, before: Callable[[], object] = lambda: None
) -> Callable[[], bool]:
    """From the next command with these words on, after `before`, nothing is answered; whether it was sent."""
    sent = False

    def look(data: bytes) -> None:
        nonlocal sent
        if words in data and not sent:
            sent = True
            before()
            proxy.lose_answers()

    proxy.on_sent = look
    return lambda: sent


def break_off(proxy: Proxy) -> None:
    """What was held back is lost for good; new connections work."""
    proxy.drop()
    proxy.resume()


async def test_a_claim_whose_answer_is_lost_is_given_back_by_reconcile_and_runs_uncharged(
    everything: Everything,
) -> None:
    """Its consumer lives on, so nobody else would ever take the row back."""
    e = everything
    consumer = await e.consumers.start(LEASE_SECONDS="3", LOG_LEVEL="debug")
    await e.stores.heard()
    task = new("count")
    task_id = task.id

    def look(answer: bytes) -> None:
        if task_id.bytes in answer:  # of a claim, whether a hint or a look brought it about
            e.postgresql.lose_answers()

    e.postgresql.on_answer = look
    await e.stores.submit_and_push([task])
    await eventually(lambda: _is(e.stores, task_id, Status.PROCESSING))
    e.postgresql.on_answer = lambda _: None
    break_off(e.postgresql)
    given_back = await consumer.event("tasks.given_back", why="the answer to its claim was lost")
    assert given_back["n"] == 1
    await eventually(lambda: completed(e.stores, 1))
    assert await charged(e.stores) == 0
    assert len(e.consumers.runs("ran")) == 1
    assert not consumer.events("lease.lost")


async def test_a_finish_whose_answer_is_lost_is_sent_again_and_counts_once(everything: Everything) -> None:
    """The second one changes no row, which is no reason to speak of a fence."""
    e = everything
    consumer = await e.consumers.start()
    await e.stores.heard()
    end = e.consumers.file("end")
    [task_id] = await e.stores.submit_and_push(
        [new("nap", payload=payload(until=str(end), returns="sent twice"))]
    )
    await eventually(lambda: e.consumers.runs("started"))
    lose_answer_to(e.postgresql, b"sent twice")
    end.touch()
    await eventually(lambda: _is(e.stores, task_id, Status.COMPLETED))
    break_off(e.postgresql)
    await consumer.event("store.back", doing="complete", within=15)
    assert (await e.stores.get(task_id)).fencing_token == 2
    assert not consumer.events("tasks.fenced")
    assert (await consumer.stop())[0] == 0


@pytest.mark.parametrize("answer", ["lost", "late"])
async def test_ids_whose_pop_was_not_answered_are_found_again(everything: Everything, answer: str) -> None:
    """Redis has given them away and nobody has them: their rows say that they wait."""
    e = everything
    consumer = await e.consumers.start(LEASE_SECONDS="2")
    ready = e.stores.keys.ready(await e.stores.heard())
    tasks = [new("count") for _ in range(20)]
    await e.stores.submit(*tasks)
    with Redis.from_url(e.own.urls.redis_url) as redis:
        pushed = partial(redis.lpush, ready, *(str(task.id) for task in tasks))
        await eventually(lose_answer_to(e.redis, b"BLMPOP", before=pushed))
    await eventually(lambda: _empty(e.stores))
    if answer == "lost":
        break_off(e.redis)
    else:
        await consumer.event("store.lost", store="Redis", doing="pull")
        e.redis.resume()
    await eventually(lambda: completed(e.stores, 20), timeout=20)
    assert await charged(e.stores) == 0
    assert len(e.consumers.runs("ran")) == 20


async def test_what_a_zombie_brings_back_is_fenced_and_counted(stores: Stores, consumers: Consumers) -> None:
    zombie = await consumers.start(LEASE_SECONDS="1")
    end = consumers.file("end")
    [task_id] = await stores.submit_and_push([new("nap", payload=payload(until=str(end)))])
    await eventually(lambda: consumers.runs("started"))
    with zombie.held():
        heir = await consumers.start(LEASE_SECONDS="1")
        await eventually(lambda: len(consumers.runs("started", pid=heir.pid)) == 1, timeout=15)
    fenced = await zombie.event("tasks.fenced", within=15)
    assert fenced["n"] == 1
    end.touch()
    await eventually(lambda: completed(stores, 1))
    row = await stores.get(task_id)
    assert (row.crashes, row.attempt) == (1, 1)
    assert not heir.events("tasks.fenced")


async def _is(stores: Stores, task_id: TaskId, status: Status) -> bool:
    return (await stores.get(task_id)).status is status


async def _empty(stores: Stores) -> bool:
    return await stores.entries(await stores.heard()) == []
