"""Claims by the rows, and the lanes in which they find some: the same from PostgreSQL and from its stand-in."""

from __future__ import annotations

from sluice.core.ids import new_consumer_id, new_task_id
from sluice.core.task import Kind, QueueName, TaskId
from sluice.db.claims import Batch, Hints
from sluice.db.rows import Place
from sluice.db.upkeep import BEGINNING
from tests.conformance.scenes import START, claimed, done, lane, row
from tests.conformance.world import World
from tests.support.stores import ECHO, new

ME = new_consumer_id()


async def test_by_the_rows_lanes_are_served_in_their_order_oldest_first(world: World) -> None:
    low, high, elsewhere = new(priority=1), new(priority=9), new(queue=QueueName("other"), priority=9)
    older, newer, unserved = new(), new(), new("other")
    await world.tasks.submit([older, unserved])
    await world.advance(1)
    await world.tasks.submit([newer, low, elsewhere, high])
    lanes = {lane(priority): BEGINNING for priority in (9, 5, 1)}

    async def take(n: int) -> set[object]:
        return {claim.id for claim in (await world.claims.claim_ready(lanes, n, consumer=ME)).claims}

    assert await take(0) == set()
    assert await take(2) == {high.id, older.id}
    assert await take(10) == {newer.id, low.id}
    assert await take(10) == set()
    assert await world.claims.claim_ready({}, 10, consumer=ME) == Batch([], {})
    assert (await row(world, elsewhere.id))["status"] == "pending"
    assert (await row(world, unserved.id))["status"] == "pending"


async def test_the_lanes_that_hold_a_due_task_are_found_with_their_first(world: World) -> None:
    await world.tasks.submit([new(), new("other"), new(priority=9), new(queue=QueueName("a"))])
    await world.advance(1)
    await world.tasks.submit([new(), new(delay=60.0, priority=7), new("unserved")])
    await claimed(world, new(priority=3))
    found = await world.claims.lanes([QueueName("default"), QueueName("none")], [ECHO, Kind("other")], 10)
    assert sorted(found) == sorted((each, START) for each in (lane(), lane(kind="other"), lane(9)))
    assert await world.claims.lanes([QueueName("a")], [Kind("other")], 10) == []
    assert len(await world.claims.lanes([QueueName("default")], [ECHO, Kind("other")], 2)) == 2


async def test_lanes_are_found_queue_by_queue_from_the_kind_that_is_named_on(world: World) -> None:
    """Whatever other kinds lie between and behind ours; those of the first queue that were skipped come last."""
    names, ours = ["a", "b", "c", "d", "e", "f", "g"], [Kind(name) for name in ("b", "d", "f")]
    first, second = QueueName("first"), QueueName("second")
    await world.tasks.submit(
        [
            new(name, queue=queue, priority=priority)
            for name in names
            for queue in (first, second)
            for priority in (1, 9)
        ]
    )

    async def found(n: int, since: str, *queues: QueueName) -> list[tuple[str, str, int]]:
        lanes = await world.claims.lanes(queues, ours, n, since=since)
        return [(lane.queue, lane.kind, lane.priority) for lane, _ in lanes]

    def both(queue: QueueName, *kinds: str) -> list[tuple[str, str, int]]:
        return [(queue, kind, priority) for kind in kinds for priority in (9, 1)]

    whole = both(second, "b", "d", "f")
    assert await found(100, "", first, second) == both(first, "b", "d", "f") + whole
    assert await found(100, "d", first, second) == both(first, "d", "f") + whole + both(first, "b")
    assert await found(100, "c", first) == both(first, "d", "f", "b")
    assert await found(100, "g", first) == both(first, "b", "d", "f")
    assert await found(3, "d", first, second) == [*both(first, "d"), (first, "f", 9)]
    assert await found(100, "d") == []


async def test_a_claim_by_the_rows_goes_on_behind_its_place_and_says_where_it_stopped(world: World) -> None:
    tasks = sorted((new() for _ in range(5)), key=lambda task: task.id)
    await world.tasks.submit(tasks)
    behind = Place(START, tasks[1].id)
    claims, ends = await world.claims.claim_ready({lane(): behind}, 2, consumer=ME)
    assert {claim.id for claim in claims} == {tasks[2].id, tasks[3].id}
    assert ends == {lane(): Place(START, tasks[3].id)}
    claims, ends = await world.claims.claim_ready({lane(9): behind, lane(): ends[lane()]}, 2, consumer=ME)
    assert [claim.id for claim in claims] == [tasks[4].id]
    assert (await row(world, tasks[0].id))["status"] == "pending"


async def test_of_a_lane_that_is_listed_only_what_waits_longer_is_taken(world: World) -> None:
    """By more than the slack: the rest is on its way in that list."""
    lost, slack, listed, other = new(), new(), new(), new(priority=1)
    for task, seconds in ((lost, 2), (slack, 2), (listed, 0)):
        await world.tasks.submit([task])
        await world.advance(seconds)
    await world.tasks.submit([other])
    lanes = {lane(): BEGINNING, lane(1): BEGINNING}
    hints = Hints([listed.id, new_task_id()], {lane()})
    claims, _ = await world.claims.claim_ready(lanes, 10, consumer=ME, listed=hints)
    assert {claim.id for claim in claims} == {lost.id, other.id}
    claims, _ = await world.claims.claim_ready(
        lanes, 10, consumer=ME, listed=Hints([new_task_id()], {lane()})
    )
    assert {claim.id for claim in claims} == {slack.id, listed.id}, "of which nothing is known"


async def test_a_hint_whose_task_ended_before_says_nothing_of_its_list(world: World) -> None:
    """It may have lain there for hours: what was pushed behind it would wait until all of its like are popped."""
    await world.tasks.submit([waits := new()])
    await world.advance(10)
    stale, quick = await claimed(world, new(), new())
    await world.claims.finish([done(stale)])
    await world.advance(4)
    await world.claims.finish([done(quick)])

    async def taken(*hints: TaskId) -> list[TaskId]:
        found = await world.claims.claim_ready(
            {lane(): BEGINNING}, 10, consumer=ME, listed=Hints(hints, {lane()})
        )
        return [claim.id for claim in found.claims]

    await world.tasks.submit([fresh := new()])
    assert await taken(stale.id, quick.id) == [waits.id], (
        "what has just ended came from the list a moment ago"
    )
    assert await taken(stale.id) == [fresh.id]
