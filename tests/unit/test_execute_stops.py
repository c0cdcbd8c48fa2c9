from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from sluice import Context, Snooze
from sluice.consumer.runs.execute import GRACE_SECONDS
from sluice.consumer.runs.running import Stop
from sluice.core.attempts import AttemptFailed, TaskRetrying
from sluice.core.outcome import Canceled, Interrupted, Outcome, Succeeded, TimedOut
from sluice.core.task import JsonText
from tests.unit.executing import Scene, outcome_of
from tests.unit.support import now, settled, task_id, virtual


@virtual
async def test_a_handler_that_overruns_its_time_is_canceled() -> None:
    ended: list[float] = []

    async def slow(ctx: Context, payload: object) -> None:
        try:
            await asyncio.sleep(100)
        finally:
            ended.append(now())

    outcome, events = await outcome_of(slow, timeout=2.5)
    assert outcome == TimedOut(timedelta(seconds=2.5))
    assert ended == [2.5]
    [told] = events.all
    assert isinstance(told, TaskRetrying)
    assert (told.task, told.kind, told.attempt) == (str(task_id(1)), "test", 2)
    assert (told.error, told.traceback) == ("Timeout: did not end within 2.5 s", None)


@virtual
async def test_a_timer_of_a_handler_that_ended_in_time_stops_nobody() -> None:
    async def quick(ctx: Context, payload: object) -> None: ...

    s = Scene(quick, timeout=2)
    s.start()
    await s.end()
    await asyncio.sleep(5)
    assert not s.run.stopping


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        (Stop.CANCELED, Canceled()),
        (Stop.DRAIN, Interrupted()),
        (Stop.LEASE, Interrupted()),
        (Stop.TIMED_OUT, TimedOut(timedelta(seconds=60))),
    ],
)
@pytest.mark.parametrize("reaction", ["is canceled", "swallows", "raises", "cleans up", "says later"])
def test_the_reason_of_a_stop_is_the_outcome_however_the_handler_takes_it(
    stop: Stop, expected: Outcome, reaction: str
) -> None:
    async def waits(ctx: Context, payload: object) -> str:
        try:
            await asyncio.sleep(50)
        except asyncio.CancelledError:
            if reaction == "is canceled":
                raise
            if reaction == "raises":
                raise ValueError("on the way out") from None
            if reaction == "cleans up":
                await asyncio.sleep(GRACE_SECONDS / 2)
                raise
            if reaction == "says later":
                raise Snooze(1) from None
        return "swallowed"

    @virtual
    async def scene() -> None:
        s = Scene(waits)
        s.start()
        await settled()
        s.run.stop(stop)
        assert await s.end() == expected
        told = [event.error for event in s.events.of(AttemptFailed)]
        assert told == (["Timeout: did not end within 60 s"] if stop is Stop.TIMED_OUT else [])
        assert now() < 2

    scene()


@virtual
async def test_a_cancellation_that_comes_in_the_tick_of_the_return_hits_nothing_after_it() -> None:
    async def stopped_by_itself(ctx: Context, payload: object) -> str:
        s.run.stop(Stop.CANCELED)
        return "returned in the same tick"

    s = Scene(stopped_by_itself)
    s.start()
    assert await s.end() == Canceled()


@virtual
async def test_a_cancellation_that_comes_when_the_awaited_thing_is_done_is_taken_in_too() -> None:
    news = asyncio.Event()

    async def waits(ctx: Context, payload: object) -> str:
        await news.wait()
        return "done"

    s = Scene(waits)
    s.start()
    await settled()
    news.set()
    s.run.stop(Stop.CANCELED)
    assert await s.end() == Canceled()


@virtual
async def test_a_stop_of_a_run_that_has_ended_cancels_nothing() -> None:
    async def quick(ctx: Context, payload: object) -> str:
        return "done"

    s = Scene(quick)
    s.start()
    assert await s.end() == Succeeded(JsonText('"done"'))
    s.run.stop(Stop.CANCELED)
    await settled()
    assert s.after == ["went on with 0 cancellations"]


@virtual
async def test_a_run_that_was_to_stop_before_it_began_calls_no_line_of_its_handler() -> None:
    called: list[object] = []

    async def never(ctx: Context, payload: object) -> None:
        called.append(ctx)

    s = Scene(never)
    s.run.stop(Stop.CANCELED)
    s.start()
    assert await s.end() == Canceled()
    assert called == []


@virtual
async def test_a_stop_reaches_the_tasks_that_a_handler_started_in_a_group() -> None:
    canceled: list[int] = []

    async def child(number: int) -> None:
        try:
            await asyncio.sleep(50)
        except asyncio.CancelledError:
            canceled.append(number)
            raise

    async def parent(ctx: Context, payload: object) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(child(number))

    s = Scene(parent)
    s.start()
    await settled()
    s.run.stop(Stop.CANCELED)
    assert await s.end() == Canceled()
    assert sorted(canceled) == [0, 1, 2]


@virtual
async def test_ctx_says_that_the_run_is_to_stop() -> None:
    seen: list[bool] = []

    async def looks(ctx: Context, payload: object) -> None:
        seen.append(ctx.canceled)
        try:
            await asyncio.sleep(50)
        finally:
            seen.append(ctx.canceled)

    s = Scene(looks)
    s.start()
    await settled()
    s.run.stop(Stop.DRAIN)
    await s.end()
    assert seen == [False, True]


async def test_an_error_that_comes_when_the_time_is_over_is_a_timeout() -> None:
    """The loop was held up, so that its own timer comes behind."""

    async def late(ctx: Context, payload: object) -> None:
        time.sleep(0.05)  # noqa: ASYNC251 - that is what holds it up
        raise ValueError("canceling statement due to statement timeout")

    outcome, events = await outcome_of(late, timeout=0.02)
    assert outcome == TimedOut(timedelta(seconds=0.02))
    [told] = events.of(AttemptFailed)
    assert told.error.startswith("Timeout")
