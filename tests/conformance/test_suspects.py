"""Tasks that one more crash would poison: PostgreSQL and its stand-in claim one at a time, and touch no other (U2)."""

from __future__ import annotations

from operator import attrgetter

from sluice.core.ids import new_consumer_id
from sluice.core.task import SUSPECTED_AFTER_CRASHES, Claim, NewTask, TaskId
from sluice.db.claims import Batch, Hints
from sluice.db.rows import Place
from sluice.db.upkeep import BEGINNING
from tests.conformance.scenes import NOTHING, SECOND, START, back, claimed, lane
from tests.conformance.world import World
from tests.support.stores import ECHO, new

ME = new_consumer_id()
_ID = attrgetter("id")


async def suspects(world: World, *tasks: NewTask) -> list[TaskId]:
    """Submit them and have two consumers die while they hold them."""
    for _ in range(SUSPECTED_AFTER_CRASHES):
        for task in tasks:
            [claim] = await claimed(world, task)
            await world.upkeep.reap([claim.key], NOTHING)
    return [task.id for task in tasks]


async def test_of_suspects_one_is_claimed_at_once_and_none_where_none_may_begin(world: World) -> None:
    """The first by priority and by when it fell due. The others stay as they are (U2 reap)."""
    low, *ids = await suspects(world, new(priority=1), *(sorted((new(), new(), new()), key=_ID)))
    await world.tasks.submit(innocent := [new(), new()])
    both = [low, *reversed(ids), *(task.id for task in innocent)]
    before = await world.rows("tasks")
    claims = await world.claims.claim([low, *ids], consumer=ME, kinds=[ECHO], suspects=False)
    assert claims == []
    assert await world.rows("tasks") == before
    for expected in ({ids[0], *(task.id for task in innocent)}, {ids[1]}, {ids[2]}, {low}, set()):
        assert {claim.id for claim in await world.claims.claim(both, consumer=ME, kinds=[ECHO])} == expected


async def test_by_the_rows_one_suspect_comes_at_the_head_of_its_lane_and_nobody_is_passed_over(
    world: World,
) -> None:
    first, second, low = await suspects(world, *sorted((new(), new()), key=_ID), new(priority=1))
    await world.tasks.submit(innocent := sorted((new() for _ in range(4)), key=_ID))
    high = new(priority=9)
    lanes = {lane(9): BEGINNING, lane(): BEGINNING, lane(1): BEGINNING}

    async def take(n: int, suspect: int = 1) -> Batch:
        found, ends = await world.claims.claim_ready(lanes, n, consumer=ME, suspect=suspect)
        return Batch(sorted(found), ends)

    claims, ends = await take(2, 0)
    assert [claim.id for claim in claims] == [innocent[0].id, innocent[1].id]
    lanes[lane()] = ends[lane()]
    await world.tasks.submit([high])
    claims, ends = await take(1)
    assert [claim.id for claim in claims] == [high.id], "a higher priority comes first"
    claims, ends = await take(1, 2)
    assert ([claim.id for claim in claims], ends) == ([second], {}), "wherever the lane's last claim ended"
    claims, ends = await take(2)
    assert [claim.id for claim in claims] == [first, innocent[2].id]
    assert ends == {lane(): Place(START, innocent[2].id)}, "a suspect's place is no lane's end"
    claims, ends = await take(9, 0)
    assert [claim.id for claim in claims] == [innocent[3].id]
    assert [claim.id for claim in (await take(9)).claims] == [low]
    assert await take(9) == Batch([], {})


async def test_a_suspect_waits_for_no_hint_but_for_its_instant(world: World) -> None:
    """Of a listed lane only what waits longer is taken; a suspect's hint may be gone already."""
    later, now = await suspects(world, new(), new())
    [claim] = await claimed_again(world, later)
    await world.claims.give_back([back(claim, delay=SECOND)])
    await world.tasks.submit([listed := new()])
    hints = Hints([listed.id], {lane()})
    for expected in ([now], []):
        claims, _ = await world.claims.claim_ready({lane(): BEGINNING}, 5, consumer=ME, listed=hints)
        assert [claim.id for claim in claims] == expected
    await world.advance(1)
    assert [claim.id for claim in await claimed_again(world, later)] == [later]


async def claimed_again(world: World, task_id: TaskId) -> list[Claim]:
    return await world.claims.claim([task_id], consumer=ME, kinds=[ECHO])
