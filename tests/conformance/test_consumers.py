"""Beats of consumers, and the reap of what the dead ones held: the same from PostgreSQL and from its stand-in."""

from __future__ import annotations

import pytest

from sluice.core.ids import new_consumer_id, new_task_id
from sluice.core.task import FencingToken, Kind, QueueName
from sluice.db.claims import Written
from sluice.db.consumers import Registration
from tests.conformance.scenes import NOTHING, SECOND, START, back, claimed, dies, done, living, row
from tests.conformance.world import World
from tests.support.stores import ECHO, new


async def test_a_beat_renews_a_lease_of_this_consumers_own_length(world: World) -> None:
    short, long = await living(world, lease=2 * SECOND), await living(world, lease=20 * SECOND)
    await world.advance(1)

    assert await world.consumers.beat(short, 3)
    found = (await world.rows("consumers"))[short]
    assert (found["running"], found["beat_at"], found["expires_at"]) == (
        3,
        START + SECOND,
        START + 3 * SECOND,
    )
    await world.advance(30)
    assert await world.consumers.beat(short, 3), (
        "its lease ran out by the database's clock, and nobody has judged"
    )
    assert await world.consumers.beat(long, 0)
    assert not await world.consumers.beat(new_consumer_id(), 0)


async def test_who_is_declared_dead_is_so_for_good_and_only_if_it_has_not_beaten_since(world: World) -> None:
    silent, beating = await living(world), await living(world)
    seen = await world.upkeep.beats()
    assert {(beat.consumer, beat.lease) for beat in seen} == {(silent, 10.0), (beating, 10.0)}
    await world.advance(1)
    assert await world.consumers.beat(beating, 0)
    assert await world.upkeep.declare_dead(seen) == 1
    assert [beat.consumer for beat in await world.upkeep.beats()] == [beating]
    assert not await world.consumers.beat(silent, 0)
    assert not await world.consumers.name_suspect(silent, (new_task_id(), FencingToken(1)))
    assert await world.consumers.beat(beating, 0)
    assert await world.upkeep.declare_dead([]) == 0


async def test_registering_again_revives_nobody(world: World) -> None:
    me = await living(world, lease=SECOND)
    await dies(world, me)
    before = await world.rows("consumers")
    facts = Registration("other", 2, [QueueName("q")], [ECHO], 1, 10 * SECOND)
    await world.consumers.register(me, facts)
    assert await world.rows("consumers") == before
    assert not await world.consumers.beat(me, 0)
    await world.consumers.unregister(me)
    await world.consumers.unregister(me)
    assert await world.rows("consumers") == {}


async def test_the_tries_of_dead_and_absent_consumers_are_found(world: World) -> None:
    alive, dying = await living(world), await living(world, lease=SECOND)
    claims = [
        (await claimed(world, new(), consumer=consumer))[0] for consumer in (alive, dying, new_consumer_id())
    ]
    await claimed(world, new(), consumer=alive)
    assert await world.upkeep.dead_attempts(10) == [claims[2].key]
    await world.advance(1)
    assert await world.upkeep.dead_attempts(10) == [claims[2].key], "silent, but not declared dead"
    await dies(world, dying)
    assert set(await world.upkeep.dead_attempts(10)) == {claim.key for claim in claims[1:]}
    assert len(await world.upkeep.dead_attempts(1)) == 1
    await world.claims.finish([done(claims[1])])
    await world.claims.give_back([back(claims[2])])
    assert await world.upkeep.dead_attempts(10) == []


async def test_a_reaped_try_is_uncharged_and_the_third_crash_is_the_last(world: World) -> None:
    consumer = await living(world, lease=60 * SECOND)
    [claim] = await claimed(world, new())
    for crashes in (1, 2):
        await world.advance(10)
        assert len(await world.upkeep.reap([claim.key], 2 * SECOND)) == 1
        found = await row(world, claim.id)
        assert (found["status"], found["crashes"], found["attempt"]) == ("pending", crashes, 0)
        assert found["run_at"] == START + (10 * crashes + 1) * SECOND + (crashes - 1) * SECOND
        assert (found["consumer_id"], found["error"], found["fencing_token"]) == (None, None, 2 * crashes)
        await world.advance(1)
        [claim] = await world.claims.claim([claim.id], consumer=consumer, kinds=[ECHO])
        assert (claim.crashes, claim.attempt) == (crashes, 1)
    assert await world.consumers.name_suspect(consumer, claim.key)
    assert len(await world.upkeep.reap([claim.key], 2 * SECOND)) == 1
    found = await row(world, claim.id)
    assert (found["status"], found["crashes"], found["attempt"]) == ("failed", 3, 0)
    assert (found["finished_at"], found["consumer_id"]) == (START + 22 * SECOND, found["consumer_id"])
    assert found["consumer_id"] is not None
    assert found["error"] == {
        "type": "poisoned",
        "message": "3 consumers died while they ran it",
        "at": "2026-01-01T00:00:22.000000Z",
    }


async def test_the_last_crash_is_charged_to_the_task_that_was_named_and_to_no_other(world: World) -> None:
    consumer = await living(world)
    named, before, never, gone = tasks = [new() for _ in range(4)]
    for holder in (new_consumer_id(), new_consumer_id()):
        await world.upkeep.reap(
            [claim.key for claim in await claimed(world, *tasks, consumer=holder)], 0 * SECOND
        )
    claims = {}
    for task in tasks:  # one by one: a statement begins one suspect
        [claims[task.id]] = await claimed(
            world, task, consumer=new_consumer_id() if task is gone else consumer
        )
    for task in (before, named):
        assert await world.consumers.name_suspect(consumer, claims[task.id].key)
    await dies(world, consumer)
    assert not await world.consumers.name_suspect(consumer, claims[never.id].key), "the dead name nothing"
    assert not await world.consumers.name_suspect(new_consumer_id(), claims[never.id].key)

    assert len(await world.upkeep.reap([claim.key for claim in claims.values()], 2 * SECOND)) == 4
    for task in tasks:
        found = await row(world, task.id)
        assert (found["status"], found["crashes"]) == (("failed", 3) if task is named else ("pending", 2))
        assert (found["attempt"], found["fencing_token"]) == (0, claims[task.id].token + 1)


async def test_the_name_is_that_of_a_run_and_not_of_every_run_of_its_task(world: World) -> None:
    """A suspect that came back to the consumer which ran it before had not begun again when that died."""
    consumer, task = await living(world), new()
    for _ in range(2):
        [claim] = await claimed(world, task, consumer=new_consumer_id())
        await world.upkeep.reap([claim.key], 0 * SECOND)
    [claim] = await claimed(world, task, consumer=consumer)
    assert await world.consumers.name_suspect(consumer, claim.key)
    await world.claims.give_back([back(claim)])
    [again] = await claimed(world, task, consumer=consumer)
    await dies(world, consumer)
    assert len(await world.upkeep.reap([again.key], 0 * SECOND)) == 1
    found = await row(world, task.id)
    assert (found["status"], found["crashes"]) == ("pending", 2)


async def test_reap_acts_on_nothing_but_the_try_that_it_saw(world: World) -> None:
    completed, again, canceled = await claimed(world, new(), new(), new())
    await world.claims.finish([done(completed)])
    await world.claims.give_back([back(again)])
    await world.claims.claim([again.id], consumer=new_consumer_id(), kinds=[ECHO])
    await world.tasks.cancel(canceled.id)
    before = await world.rows("tasks")
    dead = [claim.key for claim in (completed, again, canceled)]
    assert len(await world.upkeep.reap([*dead, (new_task_id(), completed.token)], NOTHING)) == 0
    assert len(await world.upkeep.reap([], NOTHING)) == 0
    assert await world.rows("tasks") == before


async def test_consumers_are_forgotten_an_hour_after_their_last_beat_once_they_are_declared_dead(
    world: World,
) -> None:
    dead, unjudged = await living(world), await living(world)
    await world.advance(1)
    late = await living(world)
    await dies(world, dead)
    await dies(world, late)
    await world.advance(3599)
    assert await world.upkeep.prune_consumers() == 0
    await world.advance(0.000001)
    assert await world.upkeep.prune_consumers() == 1
    assert set(await world.rows("consumers")) == {late, unjudged}


@pytest.mark.parametrize("kinds", [["echo"], ["echo", "other"]])
async def test_a_zombie_comes_back_to_tries_that_are_no_longer_its_own(
    world: World, kinds: list[str]
) -> None:
    zombie = await living(world, lease=SECOND)
    mine, other = await claimed(world, new(), new(kinds[-1]), consumer=zombie)
    await dies(world, zombie)
    assert len(await world.upkeep.reap(await world.upkeep.dead_attempts(10), NOTHING)) == 2
    successor = await living(world)
    served = [Kind(kind) for kind in kinds]
    assert len(await world.claims.claim([mine.id, other.id], consumer=successor, kinds=served)) == 2
    assert await world.claims.finish([done(mine), done(other)]) == Written(0)
    assert await world.claims.held(zombie) == set()
    assert len(await world.claims.held(successor)) == 2
