"""A coroutine that goes on after its cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from sluice import Context
from sluice.consumer.runs.execute import GRACE_SECONDS
from sluice.consumer.runs.running import Stop
from sluice.core.attempts import AttemptFailed
from sluice.core.outcome import Canceled, Interrupted, Outcome, TimedOut
from tests.unit.executing import Scene
from tests.unit.support import now, settled, virtual


def stubborn(seconds: float, reaction: str = "returns") -> Callable[[Context, object], Awaitable[str]]:
    """A handler that goes on for so long after its cancellation."""

    async def goes_on(ctx: Context, payload: object) -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.sleep(seconds)
        if reaction == "raises":
            raise ValueError("at last")
        return "at last"

    return goes_on


@pytest.mark.parametrize(
    ("stop", "expected"), [(Stop.CANCELED, Canceled()), (Stop.TIMED_OUT, TimedOut(timedelta(seconds=60)))]
)
@pytest.mark.parametrize("reaction", ["returns", "raises"])
def test_a_handler_that_swallows_its_cancellation_is_left_behind_and_keeps_its_slot(
    stop: Stop, expected: Outcome, reaction: str
) -> None:
    @virtual
    async def scene() -> None:
        s = Scene(stubborn(100, reaction))
        s.start()
        await asyncio.sleep(5)
        s.run.stop(stop)
        await asyncio.sleep(GRACE_SECONDS - 0.01)
        assert s.left == []
        await asyncio.sleep(50)
        [(at, outcome)] = s.left
        assert outcome == expected
        assert at == pytest.approx(5 + GRACE_SECONDS)
        assert s.vacated == []
        await s.end()
        assert s.vacated == [pytest.approx(105)]
        told = [event.error for event in s.events.of(AttemptFailed)]
        assert told == (["Timeout: did not end within 60 s"] if stop is Stop.TIMED_OUT else [])

    scene()


@virtual
async def test_nobody_is_left_behind_who_ends_when_canceled() -> None:
    async def waits(ctx: Context, payload: object) -> None:
        await asyncio.Event().wait()

    s = Scene(waits, timeout=0.5)
    s.start()
    assert await s.end() == TimedOut(timedelta(seconds=0.5))
    await asyncio.sleep(2 * GRACE_SECONDS)
    assert s.left == []


@pytest.mark.parametrize("stop", [Stop.DRAIN, Stop.LEASE])
def test_a_drain_or_a_lost_lease_leaves_no_handler_behind_that_goes_on(stop: Stop) -> None:
    """Its row would start elsewhere beside it."""

    @virtual
    async def scene() -> None:
        s = Scene(stubborn(100))
        s.start()
        await settled()
        s.run.stop(stop)
        assert await s.end() == Interrupted()
        assert now() >= 100
        assert s.left == []

    scene()
