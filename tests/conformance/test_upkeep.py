"""Turns, promote, prune: the same from PostgreSQL and from its stand-in."""

from __future__ import annotations

from sluice.core.task import DEFAULT_QUEUE, TaskId
from sluice.db.rows import Place
from sluice.db.upkeep import BEGINNING, DueRow, Turn
from tests.conformance.scenes import NOTHING, SECOND, START, claimed, done, failing
from tests.conformance.world import World
from tests.support.pruning import prune
from tests.support.stores import ECHO, new


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
    assert await due() == START + 10 * SECOND
    await world.upkeep.end_turn("s", {}, 8 * SECOND)
    assert await due() == START + 8 * SECOND
    await world.upkeep.end_turn("s", {"a": 1})
    assert await due() == START + 8 * SECOND
    await world.upkeep.end_turn("nobody", {}, SECOND)
    assert set(await world.rows("upkeep")) == {"s"}


async def test_delayed_rows_are_found_in_the_order_in_which_they_fall_due(world: World) -> None:
    first, second, third = new(delay=1.0), new(delay=2.0, priority=1), new(delay=2.0)
    await world.tasks.submit([third, second, first, new()])
    [retried] = await claimed(world, new())
    await world.claims.fail([failing(retried, delay=3 * SECOND)])
    assert await world.upkeep.due(BEGINNING, 10) == []
    assert await world.upkeep.next_due_in() == SECOND
    await world.advance(2)

    def due(task_id: TaskId, seconds: float, priority: int = 5) -> DueRow:
        return DueRow(Place(START + seconds * SECOND, task_id), DEFAULT_QUEUE, ECHO, priority)

    ties = sorted([due(second.id, 2, 1), due(third.id, 2)], key=lambda found: found.place)
    assert await world.upkeep.due(BEGINNING, 10) == [due(first.id, 1), *ties]
    assert await world.upkeep.due(BEGINNING, 2) == [due(first.id, 1), ties[0]]
    assert await world.upkeep.due(ties[0].place, 10) == ties[1:]
    assert await world.upkeep.due(ties[1].place, 10) == []
    assert await world.upkeep.next_due_in() == SECOND, "a retry is delayed too"
    await world.tasks.cancel(retried.id)
    assert await world.upkeep.next_due_in() is None


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

    assert await prune(world.upkeep, 2 * SECOND, 10) == 1, "older, not as old"
    assert await prune(world.upkeep, NOTHING, 1) == 1
    assert set(await world.rows("tasks")) == {claims[2].id, failed.id, retried.id, waiting.id}
    await world.advance(100)
    assert await prune(world.upkeep, SECOND, 10) == 2
    assert await prune(world.upkeep, SECOND, 10) == 0
    assert set(await world.rows("tasks")) == {retried.id, waiting.id}
