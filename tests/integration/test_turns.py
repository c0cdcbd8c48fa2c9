"""A step of upkeep is due in a table, and whoever wins the conditional update takes the turn (U1 turns)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.support.eventually import eventually
from tests.support.stores import Stores

STEP = "promote"
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


async def _due_in(stores: Stores) -> float:
    return float(
        await stores.raw.fetchval("SELECT extract(epoch FROM next_run_at - clock_timestamp()) FROM upkeep")
    )


async def _put_off(stores: Stores, by: timedelta) -> None:
    await stores.raw.execute("UPDATE upkeep SET next_run_at = now() + $1", by)


async def test_a_step_is_due_as_soon_as_it_is_there(stores: Stores) -> None:
    assert await stores.upkeep.take_turn(STEP, MINUTE) is None, "nobody added it"
    await stores.upkeep.add_steps([STEP, "reap"])
    turn = await stores.upkeep.take_turn(STEP, MINUTE)
    assert turn is not None
    assert turn.cursor == {}
    assert turn.now == await stores.raw.fetchval(
        "SELECT next_run_at - interval '1 minute' FROM upkeep WHERE step = $1", STEP
    )


async def test_of_many_at_once_one_wins_the_turn(stores: Stores) -> None:
    await stores.upkeep.add_steps([STEP])
    for _ in range(5):
        await _put_off(stores, timedelta())
        turns = await asyncio.gather(*(stores.upkeep.take_turn(STEP, MINUTE) for _ in range(8)))
        assert [turn is not None for turn in turns].count(True) == 1


async def test_a_turn_is_not_due_again_before_its_period_is_over(stores: Stores) -> None:
    await stores.upkeep.add_steps([STEP])
    period = timedelta(seconds=0.2)
    first = await stores.upkeep.take_turn(STEP, period)
    assert await stores.upkeep.take_turn(STEP, period) is None
    second = await eventually(lambda: stores.upkeep.take_turn(STEP, period))
    assert first is not None
    assert second is not None
    assert second.now - first.now >= period


async def test_adding_a_step_again_leaves_it_as_it_is(stores: Stores) -> None:
    await stores.upkeep.add_steps([STEP])
    await stores.upkeep.take_turn(STEP, MINUTE)
    await stores.upkeep.end_turn(STEP, {"at": 7})
    await stores.upkeep.add_steps([STEP])
    assert await stores.upkeep.take_turn(STEP, MINUTE) is None
    await _put_off(stores, timedelta())
    turn = await stores.upkeep.take_turn(STEP, MINUTE)
    assert turn is not None
    assert turn.cursor == {"at": 7}


async def test_a_turn_further_ahead_than_two_periods_is_due_for_the_clock_stepped_back(
    stores: Stores,
) -> None:
    await stores.upkeep.add_steps([STEP])
    await _put_off(stores, timedelta(seconds=1.9))
    assert await stores.upkeep.take_turn(STEP, SECOND) is None
    await _put_off(stores, timedelta(days=300))
    assert await stores.upkeep.take_turn(STEP, SECOND) is not None
    assert await _due_in(stores) <= 1


async def test_ending_a_turn_keeps_its_next_one_or_brings_it_nearer(stores: Stores) -> None:
    await stores.upkeep.add_steps([STEP])
    await stores.upkeep.take_turn(STEP, MINUTE)
    await stores.upkeep.end_turn(STEP, {"at": 1})
    assert 59 < await _due_in(stores) <= 60
    await stores.upkeep.end_turn(STEP, {"at": 1}, 5 * SECOND)
    assert 4 < await _due_in(stores) <= 5
    await stores.upkeep.end_turn(STEP, {"at": 1}, timedelta())
    assert await stores.upkeep.take_turn(STEP, MINUTE) is not None
