"""How soon looks follow one another, and what they may cost (U4 scan)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from sluice.consumer.intake.scan import ALONE, BUSY, IDLE
from sluice.core.errors import Hindered, OutcomeUnknown
from tests.unit.scanning import A, Scene, lane
from tests.unit.support import now, virtual


@virtual
async def test_looks_follow_each_other_fast_after_a_find_and_then_rarer() -> None:
    s = Scene({})
    assert [round((await s.scan.find(IDLE)).total_seconds(), 2) for _ in range(7)] == [
        *(0.05, 0.1, 0.2, 0.4, 0.8),
        *(1.0, 1.0),
    ]
    assert await s.scan.find(BUSY) == timedelta(seconds=2)
    assert await s.scan.find(BUSY) == BUSY
    s.rows[lane(A)] = [1]
    await s.scan.find(BUSY)
    await s.scan.claim(5)
    assert await s.scan.find(BUSY) == timedelta(seconds=0.05)


@virtual
async def test_a_look_that_takes_long_is_followed_by_a_pause_that_all_consumers_share() -> None:
    s = Scene({})
    s.took, s.consumers = 0.5, 10
    await s.scan.find(IDLE)
    assert await s.scan.find(IDLE) < IDLE, "one that took long may have waited for a processor"
    assert now() == 1.0
    rest = await s.scan.find(IDLE)
    assert rest == timedelta(seconds=10), "half of a core over ten of them"
    assert now() == 1.0
    await asyncio.sleep(10)
    await s.scan.find(ALONE)
    assert await s.scan.find(ALONE) <= timedelta(seconds=5), (
        "all of it, as without Redis there is no other way"
    )


@virtual
@pytest.mark.parametrize(
    ("consumers", "took", "rest"), [(10, 0.002, 0.4), (100, 0.003, 3.0), (100, 5.0, 60.0)]
)
async def test_many_consumers_find_what_is_lost_as_soon_as_few(
    consumers: int, took: float, rest: float
) -> None:
    """A twentieth of a core while that is soon enough; and a minute is the longest, whatever it costs."""
    s = Scene({})
    s.took, s.consumers = took, consumers
    for _ in range(2):
        await s.scan.find(IDLE)
    assert await s.scan.find(IDLE) == pytest.approx(timedelta(seconds=rest), abs=timedelta(milliseconds=1))


@virtual
async def test_a_look_that_was_given_up_for_its_time_is_paid_for_too() -> None:
    s = Scene({})
    s.took, s.error = 0.5, Hindered("PostgreSQL", "canceling statement due to statement timeout")
    with pytest.raises(Hindered):
        await s.scan.find(IDLE)
    assert await s.scan.find(IDLE) == timedelta(seconds=3)


@virtual
async def test_waiting_for_a_server_that_is_silent_puts_no_look_off() -> None:
    s = Scene({})
    s.took, s.error = 12, OutcomeUnknown("PostgreSQL", "no answer in time")
    with pytest.raises(OutcomeUnknown):
        await s.scan.find(IDLE)
    s.took, s.error, s.rows[lane()] = 0, None, [1]
    await s.scan.find(IDLE)
    assert s.scan.found


@virtual
async def test_a_rest_of_almost_nothing_lets_time_pass() -> None:
    s = Scene({})
    s.took = 0.1
    await s.scan.find(ALONE)
    await asyncio.sleep(s.scan._rest.left - 1e-9)
    assert await s.scan.find(ALONE) > timedelta()
