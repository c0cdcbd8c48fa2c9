"""Beats, turns, reap, promote, republish, prune: the same from PostgreSQL and from its stand-in."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.ids import new_consumer_id, new_task_id
from core.task import DEFAULT_QUEUE, Kind, QueueName, ReadyList, TaskId
from db.claims import Written
from db.consumers import Registration
from db.upkeep import BEGINNING, DueRow, LookedAt, Place, Turn
from tests.conformance.scenes import SECOND, START, back, claimed, done, failing, living, row
from tests.conformance.world import World
from tests.support.stores import DEFAULT_LIST, ECHO, new

NOTHING = timedelta()


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
    await world.advance(2)
    assert not await world.consumers.beat(short, 3), "dead at the very moment"
    assert (await world.rows("consumers"))[short] == found
    assert await world.consumers.beat(long, 0)
    assert not await world.consumers.beat(new_consumer_id(), 0)


async def test_registering_again_revives_nobody(world: World) -> None:
    me = await living(world, lease=SECOND)
    before = await world.rows("consumers")
    await world.advance(2)
    facts = Registration("other", 2, [QueueName("q")], [ECHO], 1, 10 * SECOND)
    await world.consumers.register(me, facts)
    assert await world.rows("consumers") == before
    assert not await world.consumers.beat(me, 0)
    await world.consumers.unregister(me)
    await world.consumers.unregister(me)
    assert await world.rows("consumers") == {}


async def test_a_turn_is_won_once_a_period(world: World) -> None:
    assert await world.upkeep.take_turn("s", SECOND) is None, "no such step"
    await world.upkeep.add_steps(["s", "t", "s"])
    assert await world.upkeep.take_turn("s", 2 * SECOND) == Turn({}, START)
    assert await world.upkeep.take_turn("s", 2 * SECOND) is None
    await world.upkeep.end_turn("s", {"at": "é", "n": [1]})
    await world.upkeep.add_steps(["s"])
    await world.advance(1)
    assert await world.upkeep.take_turn("s", 2 * SECOND) is None
    await world.advance(1)
    assert await world.upkeep.take_turn("s", 2 * SECOND) == Turn({"at": "é", "n": [1]}, START + 2 * SECOND)
    assert (await world.rows("upkeep"))["t"] == {"step": "t", "next_run_at": START, "cursor": None}


async def test_a_turn_that_lies_too_far_ahead_is_due(world: World) -> None:
    await world.upkeep.add_steps(["s"])
    await world.upkeep.take_turn("s", 10 * SECOND)
    assert await world.upkeep.take_turn("s", 5 * SECOND) is None, "two periods ahead are not too far"
    assert await world.upkeep.take_turn("s", 4.9 * SECOND) == Turn({}, START)


async def test_a_turn_ends_with_the_next_one_sooner_but_never_later(world: World) -> None:
    await world.upkeep.add_steps(["s"])
    await world.upkeep.take_turn("s", 10 * SECOND)

    async def due() -> object:
        return (await world.rows("upkeep"))["s"]["next_run_at"]

    await world.upkeep.end_turn("s", {}, 20 * SECOND)
    await world.upkeep.bring_forward("s", 20 * SECOND)
    assert await due() == START + 10 * SECOND
    await world.upkeep.end_turn("s", {}, 8 * SECOND)
    assert await due() == START + 8 * SECOND
    await world.upkeep.bring_forward("s", 3 * SECOND)
    assert await due() == START + 3 * SECOND
    await world.upkeep.end_turn("s", {"a": 1})
    assert await due() == START + 3 * SECOND
    await world.upkeep.end_turn("nobody", {}, SECOND)
    await world.upkeep.bring_forward("nobody", SECOND)
    assert set(await world.rows("upkeep")) == {"s"}


async def test_the_tries_of_dead_and_absent_consumers_are_found(world: World) -> None:
    alive, dying = await living(world), await living(world, lease=SECOND)
    claims = [
        (await claimed(world, new(), consumer=consumer))[0] for consumer in (alive, dying, new_consumer_id())
    ]
    await claimed(world, new(), consumer=alive)
    assert await world.upkeep.dead_tries(10) == [claims[2].key]
    await world.advance(1)
    assert set(await world.upkeep.dead_tries(10)) == {claim.key for claim in claims[1:]}
    assert len(await world.upkeep.dead_tries(1)) == 1
    await world.claims.finish([done(claims[1])])
    await world.claims.give_back([back(claims[2])])
    assert await world.upkeep.dead_tries(10) == []


async def test_a_reaped_try_is_uncharged_and_the_third_crash_is_the_last(world: World) -> None:
    consumer = await living(world, lease=60 * SECOND)
    [claim] = await claimed(world, new())
    for crashes in (1, 2):
        await world.advance(10)
        assert await world.upkeep.reap([claim.key], 2 * SECOND) == 1
        found = await row(world, claim.id)
        assert (found["status"], found["crashes"], found["attempt"]) == ("pending", crashes, 0)
        assert found["run_at"] == START + (10 * crashes + 1) * SECOND + (crashes - 1) * SECOND
        assert (found["consumer_id"], found["error"], found["fencing_token"]) == (None, None, 2 * crashes)
        await world.advance(1)
        [claim] = await world.claims.claim([claim.id], consumer=consumer, kinds=[ECHO])
        assert (claim.crashes, claim.attempt) == (crashes, 1)
    assert await world.consumers.name_suspect(consumer, claim.id)
    assert await world.upkeep.reap([claim.key], 2 * SECOND) == 1
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
    claims = {claim.id: claim for claim in await claimed(world, named, before, never, consumer=consumer)}
    [claims[gone.id]] = await claimed(world, gone, consumer=new_consumer_id())
    for task in (before, named):
        assert await world.consumers.name_suspect(consumer, task.id)
    await world.advance(60)
    assert not await world.consumers.name_suspect(consumer, never.id), "the dead name nothing"
    assert not await world.consumers.name_suspect(new_consumer_id(), never.id)

    assert await world.upkeep.reap([claim.key for claim in claims.values()], 2 * SECOND) == 4
    for task in tasks:
        found = await row(world, task.id)
        assert (found["status"], found["crashes"]) == (("failed", 3) if task is named else ("pending", 2))
        assert (found["attempt"], found["fencing_token"]) == (0, claims[task.id].token + 1)


async def test_reap_acts_on_nothing_but_the_try_that_it_saw(world: World) -> None:
    completed, again, canceled = await claimed(world, new(), new(), new())
    await world.claims.finish([done(completed)])
    await world.claims.give_back([back(again)])
    await world.claims.claim([again.id], consumer=new_consumer_id(), kinds=[ECHO])
    await world.tasks.cancel(canceled.id)
    before = await world.rows("tasks")
    dead = [claim.key for claim in (completed, again, canceled)]
    assert await world.upkeep.reap([*dead, (new_task_id(), completed.token)], NOTHING) == 0
    assert await world.upkeep.reap([], NOTHING) == 0
    assert await world.rows("tasks") == before


async def test_delayed_rows_are_found_in_the_order_in_which_they_fall_due(world: World) -> None:
    first, second, third = new(delay=1.0), new(delay=2.0, priority=1), new(delay=2.0)
    await world.tasks.submit([third, second, first, new()])
    [retried] = await claimed(world, new())
    await world.claims.fail([failing(retried, delay=3 * SECOND)])
    assert await world.upkeep.due(BEGINNING, 10) == []
    assert await world.upkeep.next_due_in() == SECOND
    await world.advance(2)

    def due(task_id: TaskId, seconds: float, priority: int = 5) -> DueRow:
        return DueRow(Place(START + seconds * SECOND, task_id), ReadyList(DEFAULT_QUEUE, priority))

    ties = sorted([due(second.id, 2, 1), due(third.id, 2)], key=lambda found: found.place)
    assert await world.upkeep.due(BEGINNING, 10) == [due(first.id, 1), *ties]
    assert await world.upkeep.due(BEGINNING, 2) == [due(first.id, 1), ties[0]]
    assert await world.upkeep.due(ties[0].place, 10) == ties[1:]
    assert await world.upkeep.due(ties[1].place, 10) == []
    assert await world.upkeep.next_due_in() == SECOND, "a retry is delayed too"
    await world.tasks.cancel(retried.id)
    assert await world.upkeep.next_due_in() is None


async def test_lists_with_a_pending_row_are_named_in_order(world: World) -> None:
    assert await world.upkeep.ready_lists() == []
    for queue, priority in (("b", 0), ("a", 3), ("B", 9), ("a", 7), ("a_b", 1), ("a-c", 1), ("a", 3)):
        await world.tasks.submit([new(queue=QueueName(queue), priority=priority, delay=5.0)])
    await claimed(world, new(queue=QueueName("busy")))
    found = [(str(ready.queue), ready.priority) for ready in await world.upkeep.ready_lists()]
    assert sorted(found) == sorted({("b", 0), ("a", 3), ("B", 9), ("a", 7), ("a_b", 1), ("a-c", 1)})
    assert found.index(("a", 7)) < found.index(("a", 3)), "higher priorities first"


async def test_ready_among_knows_its_list(world: World) -> None:
    mine, early, other = new(), new(delay=1.0), new(priority=4)
    await world.tasks.submit([mine, early, other])
    [running] = await claimed(world, new())
    ids = [mine.id, early.id, other.id, running.id, new_task_id(), mine.id]
    assert await world.upkeep.ready_among(DEFAULT_LIST, ids) == {mine.id: START}
    assert await world.upkeep.ready_among(DEFAULT_LIST, []) == {}
    await world.advance(1)
    assert await world.upkeep.ready_among(DEFAULT_LIST, ids) == {mine.id: START, early.id: START + SECOND}


async def test_a_chunk_goes_on_from_its_place_up_to_the_watermark(world: World) -> None:
    await living(world, lease=60 * SECOND, kinds=["echo", "alive"])
    await living(world, lease=SECOND, kinds=["dead"])
    old, unserved, served = new(), new("dead"), new("alive")
    await world.tasks.submit([old])
    await world.advance(1)
    await world.tasks.submit([unserved, served, new(priority=1), new(queue=QueueName("q"))])
    await world.advance(1)
    young = new()
    await world.tasks.submit([young])
    place = {
        task.id: Place(START + at * SECOND, task.id)
        for task, at in ((old, 0), (unserved, 1), (served, 1), (young, 2))
    }
    second = sorted([unserved.id, served.id])
    looked = [LookedAt(place[task_id], task_id != unserved.id) for task_id in (old.id, *second, young.id)]

    async def chunk(after: Place, watermark: float | None, slack: float, n: int = 10) -> list[LookedAt]:
        until = None if watermark is None else START + watermark * SECOND
        return await world.upkeep.chunk(DEFAULT_LIST, after, until, slack * SECOND, n)

    assert await chunk(BEGINNING, None, 0) == looked[:3], "a row of this very moment is too young"
    assert await chunk(BEGINNING, 3, 0) == looked
    assert await chunk(BEGINNING, 3, 2) == looked[:1]
    assert await chunk(BEGINNING, 3, 0, n=2) == looked[:2]
    assert await chunk(looked[1].place, 3, 0) == looked[2:]
    assert await chunk(BEGINNING, None, 2) == []


async def test_prune_takes_what_ended_long_ago_the_oldest_first(world: World) -> None:
    claims = []
    for _ in range(3):
        [claim] = await claimed(world, new())
        await world.claims.finish([done(claim)])
        claims.append(claim)
        await world.advance(1)
    [failed, retried] = await claimed(world, new(), new())
    waiting = new()
    await world.tasks.submit([waiting])
    await world.claims.fail([failing(failed)])
    await world.tasks.cancel(retried.id)
    await world.tasks.retry(retried.id)

    assert await world.upkeep.prune(2 * SECOND, 10) == 1, "older, not as old"
    assert await world.upkeep.prune(NOTHING, 1) == 1
    assert set(await world.rows("tasks")) == {claims[2].id, failed.id, retried.id, waiting.id}
    await world.advance(100)
    assert await world.upkeep.prune(SECOND, 10) == 2
    assert await world.upkeep.prune(SECOND, 10) == 0
    assert set(await world.rows("tasks")) == {retried.id, waiting.id}


async def test_consumers_are_forgotten_an_hour_after_their_death(world: World) -> None:
    await living(world, lease=SECOND)
    late = await living(world, lease=2 * SECOND)
    await world.advance(3601)
    assert await world.upkeep.prune_consumers() == 0
    await world.advance(0.000001)
    assert await world.upkeep.prune_consumers() == 1
    assert set(await world.rows("consumers")) == {late}


@pytest.mark.parametrize("kinds", [["echo"], ["echo", "other"]])
async def test_a_zombie_comes_back_to_tries_that_are_no_longer_its_own(
    world: World, kinds: list[str]
) -> None:
    zombie = await living(world, lease=SECOND)
    mine, other = await claimed(world, new(), new(kinds[-1]), consumer=zombie)
    await world.advance(2)
    assert await world.upkeep.reap(await world.upkeep.dead_tries(10), NOTHING) == 2
    successor = await living(world)
    served = [Kind(kind) for kind in kinds]
    assert len(await world.claims.claim([mine.id, other.id], consumer=successor, kinds=served)) == 2
    assert await world.claims.finish([done(mine), done(other)]) == Written(0)
    assert await world.claims.held(zombie) == set()
    assert len(await world.claims.held(successor)) == 2
