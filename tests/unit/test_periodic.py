from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from random import Random

import pytest

from sluice.consumer.periodic import every
from sluice.core.errors import OutcomeUnknown, StoreUnavailable
from sluice.core.events import StepFailed, StoreBack, StoreLost
from sluice.core.waiting import Bell, Stopping
from tests.unit.support import Events, now, settled, virtual


class Steps:
    """A step that does what it is told next, and keeps when it was called."""

    def __init__(self, stopping: Stopping, *plan: timedelta | Exception) -> None:
        self.times: list[float] = []
        self._stopping = stopping
        self._plan = list(plan)

    async def __call__(self) -> timedelta:
        self.times.append(now())
        act = self._plan.pop(0)
        if not self._plan:
            self._stopping.request()
        if isinstance(act, Exception):
            raise act
        return act

    @property
    def pauses(self) -> list[float]:
        return [after - before for before, after in zip(self.times, self.times[1:], strict=False)]


def seconds(*numbers: float) -> list[timedelta]:
    return [timedelta(seconds=number) for number in numbers]


async def run(
    step: Callable[[], Awaitable[timedelta]], stopping: Stopping, bell: Bell | None = None
) -> Events:
    events = Events()
    await every("step", step, stopping=stopping, report=events, random=Random(1), bell=bell)
    return events


@virtual
async def test_a_step_runs_again_after_the_pause_it_asked_for_and_never_sooner() -> None:
    stopping = Stopping()
    steps = Steps(stopping, *seconds(*[1.0] * 100, 0))

    await run(steps, stopping)

    assert 1.0 <= min(steps.pauses) < max(steps.pauses) <= 1.06
    assert len({round(pause, 6) for pause in steps.pauses}) > 50, "processes must drift apart"


@virtual
async def test_a_step_that_asks_for_no_pause_runs_again_at_once_but_lets_others_run() -> None:
    stopping = Stopping()
    steps = Steps(stopping, *seconds(0, 0, 0))
    others: list[int] = []

    async with asyncio.TaskGroup() as group:
        group.create_task(run(steps, stopping))
        for number in range(3):
            group.create_task(_note(others, number))

    assert others == [0, 1, 2]
    assert now() == 0


async def _note(notes: list[int], number: int) -> None:
    notes.append(number)


@virtual
async def test_a_bell_ends_the_pause() -> None:
    stopping, bell = Stopping(), Bell()
    steps = Steps(stopping, *seconds(100, 100, 0))
    asyncio.get_running_loop().call_later(3, bell.ring)

    await run(steps, stopping, bell)

    assert steps.pauses == [3, pytest.approx(100, rel=0.06)]


@virtual
async def test_a_bell_that_rings_during_the_step_is_not_lost() -> None:
    stopping, bell = Stopping(), Bell()
    rounds: list[float] = []

    async def step() -> timedelta:
        rounds.append(now())
        if len(rounds) == 1:
            bell.ring()  # the news comes after the look that this round began with
            await asyncio.sleep(1)
        else:
            stopping.request()
        return timedelta(hours=1)

    await run(step, stopping, bell)
    assert rounds == [0, 1]


@virtual
async def test_a_bell_rung_before_the_look_starts_no_second_round() -> None:
    bell = Bell()
    bell.ring()
    bell.clear()
    before = now()
    await bell.wait(2)
    assert now() - before == pytest.approx(2)


@virtual
async def test_waiting_for_a_bell_can_be_canceled() -> None:
    bell = Bell()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await bell.wait(5)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await bell.wait()


@virtual
async def test_an_error_is_reported_and_the_loop_goes_on_after_a_growing_pause() -> None:
    stopping = Stopping()
    steps = Steps(
        stopping, *[RuntimeError("broken")] * 8, *seconds(0, 0), RuntimeError("again"), *seconds(0, 0)
    )

    events = await run(steps, stopping)

    assert len(events.of(StepFailed)) == 9
    assert events.of(StepFailed)[0].step == "step"
    assert events.of(StepFailed)[0].reason == "RuntimeError('broken')"
    assert "in __call__" in (events.of(StepFailed)[0].traceback or "")
    assert steps.pauses[:8] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5], rel=0.06)
    assert steps.pauses[10] == pytest.approx(0.2, rel=0.06), "a good round makes the next pause short again"


@virtual
async def test_a_store_that_is_away_is_told_once_and_its_return_too() -> None:
    stopping = Stopping()
    away = StoreUnavailable("Redis", "gone"), OutcomeUnknown("Redis", "still gone")
    steps = Steps(stopping, *away, *seconds(0), *away, *seconds(0, 0))

    events = await run(steps, stopping)

    assert events.all == [
        StoreLost("Redis", doing="step", reason="gone"),
        StoreBack("Redis", doing="step"),
        StoreLost("Redis", doing="step", reason="gone"),
        StoreBack("Redis", doing="step"),
    ]


@virtual
async def test_a_stop_ends_the_pause_and_lets_the_round_finish() -> None:
    stopping = Stopping()
    finished: list[float] = []

    async def step() -> timedelta:
        await asyncio.sleep(2)
        finished.append(now())
        return timedelta(hours=1)

    async with asyncio.TaskGroup() as group:
        loop = group.create_task(run(step, stopping))
        await asyncio.sleep(1)
        stopping.request()
        await settled()
        assert not loop.done()

    assert finished == [2]
    assert now() == 2


@virtual
async def test_a_stop_is_seen_in_every_pause() -> None:
    for pause in (timedelta(hours=1), RuntimeError("broken")):
        stopping = Stopping()
        steps = Steps(stopping, pause, timedelta())
        started = now()
        async with asyncio.TaskGroup() as group:
            group.create_task(run(steps, stopping))
            await settled()
            stopping.request()
        assert now() - started < 0.1
        assert len(steps.times) == 1


@virtual
async def test_a_loop_that_is_stopped_before_it_starts_does_nothing() -> None:
    stopping = Stopping()
    stopping.request()
    steps = Steps(stopping, timedelta())

    await run(steps, stopping)

    assert steps.times == []


@virtual
async def test_a_stop_rings_every_bell_that_was_handed_out() -> None:
    stopping = Stopping()
    bells = [stopping.bell(), stopping.bell()]
    stopping.request()
    for bell in bells:
        await bell.wait()
