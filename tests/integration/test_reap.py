"""The tries of dead consumers come back, each judged by its row as it is now (U2 reap, R3 no second look)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta

import pytest

from sluice.consumer.lease import Lease
from sluice.consumer.upkeep.reap import Reap
from sluice.core.events import Event, UpkeepDone
from sluice.core.ids import new_consumer_id
from sluice.core.outcome import Completion, Return
from sluice.core.task import Claim, FencingToken, Status
from tests.support.stores import ECHO, Stores, new

SPREAD = timedelta(seconds=1)
LEASE = timedelta(seconds=30)


async def test_only_tries_of_consumers_that_are_absent_or_declared_dead_are_seen(stores: Stores) -> None:
    alive, dead = await stores.consumer(), await stores.consumer()
    await stores.claimed(new(), consumer=alive)
    [silent] = await stores.claimed(new(), consumer=dead)
    [orphan] = await stores.claimed(new(), consumer=new_consumer_id())
    await stores.raw.execute("UPDATE consumers SET expires_at = now() - interval '1 hour'")
    await stores.dies(dead)
    assert await stores.upkeep.dead_attempts(10) == sorted([silent.key, orphan.key])
    assert len(await stores.upkeep.dead_attempts(1)) == 1


async def test_a_step_declares_the_silent_dead_and_takes_back_what_they_held(stores: Stores) -> None:
    await stores.upkeep.add_steps([Reap.name])
    short, long = [await stores.consumer(lease=timedelta(seconds=seconds)) for seconds in (30, 3600)]
    [taken] = await stores.claimed(new(), consumer=short)
    await stores.claimed(new(), consumer=long)
    clock, events = _Clock(), list[Event]()
    lease = Lease(LEASE, clock)
    reap = Reap(store=stores.upkeep, lease=lease, report=events.append)
    for _ in range(6):
        lease.renewed(clock.now)
        await reap.step()
        clock.now += 7
    [told] = events
    assert isinstance(told, UpkeepDone)
    assert (told.n, told.step, told.consumer) == (1, Reap.name, str(short))
    assert re.fullmatch(r"\S+, process \d+, has not beaten for \d+ s", str(told.why))
    assert told.tasks == (str(taken.id),)
    assert await stores.claims.held(short) == set()
    assert len(await stores.claims.held(long)) == 1
    assert not await stores.consumers.beat(short, 0)


async def test_a_beat_that_came_since_the_look_or_is_on_its_way_saves_its_consumer(stores: Stores) -> None:
    beaten, beating, silent = [await stores.consumer() for _ in range(3)]
    seen = await stores.upkeep.beats()
    assert await stores.consumers.beat(beaten, 0)
    async with stores.raw.transaction():
        await stores.raw.execute("UPDATE consumers SET beat_at = clock_timestamp() WHERE id = $1", beating)
        async with asyncio.timeout(2):
            assert await stores.upkeep.declare_dead(seen) == 1
    assert await stores.consumers.beat(beaten, 0)
    assert await stores.consumers.beat(beating, 0)
    assert not await stores.consumers.beat(silent, 0)


async def test_a_reaped_try_is_a_crash_and_not_an_attempt(stores: Stores) -> None:
    [claim] = await stores.claimed(new())
    before = await stores.get(claim.id)
    assert len(await stores.upkeep.reap([claim.key], SPREAD)) == 1
    row = await stores.get(claim.id)
    assert (row.status, row.attempt, row.crashes, row.consumer_id) == (Status.PENDING, 0, 1, None)
    assert row.fencing_token == claim.token + 1
    assert row.updated_at <= row.run_at <= row.updated_at + SPREAD
    assert row.run_at > before.run_at
    assert row.error is None


async def test_run_at_is_spread_over_the_whole_of_the_spread(stores: Stores) -> None:
    claims = await stores.claimed(*(new() for _ in range(200)))
    assert len(await stores.upkeep.reap([claim.key for claim in claims], timedelta(seconds=40))) == 200
    quarters = await stores.raw.fetch(
        "SELECT floor(extract(epoch FROM run_at - updated_at) / 10)::int AS quarter, count(*) "
        "FROM tasks GROUP BY 1 ORDER BY 1"
    )
    assert [row["quarter"] for row in quarters] == [0, 1, 2, 3]
    assert min(row["count"] for row in quarters) > 20


async def test_the_third_crash_poisons_the_task(stores: Stores) -> None:
    task, killer = new(max_attempts=100), await stores.consumer()
    await stores.submit(task)
    for crashes in (1, 2, 3):
        [claim] = await stores.claims.claim([task.id], consumer=killer, kinds=[ECHO])
        assert claim.crashes == crashes - 1
        assert await stores.consumers.name_suspect(killer, claim.key)
        assert len(await stores.upkeep.reap([claim.key], timedelta())) == 1
    row = await stores.get(task.id)
    assert (row.status, row.crashes, row.attempt, row.consumer_id) == (Status.FAILED, 3, 0, killer)
    assert row.error is not None
    assert (row.error["type"], row.finished_at) == ("poisoned", row.updated_at)
    assert "3 consumers died" in row.error["message"]


def _finish(stores: Stores, claim: Claim) -> object:
    return stores.claims.finish([Completion(claim.id, claim.token, None)])


async def _claimed_again(stores: Stores, claim: Claim) -> None:
    await stores.claims.give_back([Return(claim.id, claim.token)])
    await stores.claims.claim([claim.id], consumer=await stores.consumer(), kinds=[ECHO])


@pytest.mark.parametrize(
    "meanwhile",
    [
        _finish,
        _claimed_again,
        lambda stores, claim: stores.claims.give_back([Return(claim.id, claim.token)]),
        lambda stores, claim: stores.tasks.cancel(claim.id),
        lambda stores, claim: stores.upkeep.reap([claim.key], SPREAD),
    ],
    ids=["finished", "claimed again", "given back", "canceled", "reaped by another"],
)
async def test_a_try_that_moved_between_look_and_act_is_left_alone(
    stores: Stores, meanwhile: Callable[..., object]
) -> None:
    [claim] = await stores.claimed(new(), consumer=new_consumer_id())
    seen = await stores.upkeep.dead_attempts(10)
    await meanwhile(stores, claim)  # type: ignore[misc]
    before = await stores.get(claim.id)
    assert len(await stores.upkeep.reap(seen, SPREAD)) == 0
    assert await stores.get(claim.id) == before


async def test_two_reapers_at_once_reap_each_try_once(stores: Stores) -> None:
    claims = await stores.claimed(*(new() for _ in range(300)))
    seen = await stores.upkeep.dead_attempts(1000)
    counts = await asyncio.gather(*(stores.upkeep.reap(seen, SPREAD) for _ in range(4)))
    assert sum(map(len, counts)) <= 300
    left = await stores.upkeep.dead_attempts(1000)
    assert sum(map(len, counts)) + len(await stores.upkeep.reap(left, SPREAD)) == 300
    crashes = await stores.raw.fetch("SELECT DISTINCT crashes, fencing_token FROM tasks")
    assert [tuple(row) for row in crashes] == [(1, claims[0].token + 1)]


async def test_a_locked_try_is_passed_over(stores: Stores) -> None:
    locked, free = await stores.claimed(new(), new())
    async with stores.raw.transaction():
        await stores.raw.execute("SELECT FROM tasks WHERE id = $1 FOR UPDATE", locked.id)
        async with asyncio.timeout(2):
            assert len(await stores.upkeep.reap([locked.key, free.key], SPREAD)) == 1
    assert await stores.upkeep.dead_attempts(10) == [locked.key]


async def test_an_invented_token_reaps_nothing(stores: Stores) -> None:
    [claim] = await stores.claimed(new())
    assert len(await stores.upkeep.reap([(claim.id, FencingToken(claim.token - 1))], SPREAD)) == 0


class _Clock:
    """Turned by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_step_reaps_only_after_a_whole_lease_of_good_beats(stores: Stores) -> None:
    """After an outage of PostgreSQL every lease has run out: whoever judged at once would poison the fleet."""
    await stores.upkeep.add_steps([Reap.name])
    await stores.claimed(new(), new())
    clock, events = _Clock(), list[Event]()
    lease = Lease(LEASE, clock)
    reap = Reap(store=stores.upkeep, lease=lease, report=events.append)

    assert await reap.step() < reap.attempts, "no beat yet"
    for _ in range(2):
        lease.renewed(clock.now)
        clock.now += 14
        assert await reap.step() < reap.attempts
        assert events == []
    lease.renewed(clock.now)
    clock.now += 2
    assert await reap.step() == reap.attempts
    [told] = events
    assert isinstance(told, UpkeepDone)
    assert (told.n, told.step, told.why) == (2, Reap.name, "nobody has this id any more")


async def test_a_step_that_finds_a_full_chunk_is_due_again_at_once(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.consumer.upkeep.reap.CHUNK", 3)
    await stores.upkeep.add_steps([Reap.name])
    await stores.claimed(*(new() for _ in range(7)))
    clock, events = _Clock(), list[Event]()
    lease = Lease(LEASE, clock)
    lease.renewed(clock.now)
    reap = Reap(store=stores.upkeep, lease=lease, report=events.append)
    for _ in range(3):
        clock.now += 15
        lease.renewed(clock.now)
    waits = [await reap.step() for _ in range(3)]
    assert waits == [timedelta(), timedelta(), reap.attempts]
    assert [event.count for event in events] == [3, 3, 1]
