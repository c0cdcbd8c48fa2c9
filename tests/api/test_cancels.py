"""Telling of a cancel is quick or not at all, and never an error of the request's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sluice.api.cancels import Cancels
from sluice.core.errors import OutcomeUnknown
from sluice.core.events import Event, StoreLost
from sluice.core.task import Status


class Canceled:
    """As much of a task as is looked at."""

    def __init__(self, canceled_from: Status) -> None:
        self.canceled_from = canceled_from


class Signals:
    def __init__(self, act: Callable[[], Awaitable[None]]) -> None:
        self._act = act
        self.told: list[Any] = []

    async def tell_canceled(self, task: Any) -> None:
        self.told.append(task)
        await self._act()


async def hang() -> None:
    await asyncio.sleep(30)


async def fail() -> None:
    raise OutcomeUnknown("Redis", "gone")


async def succeed() -> None:
    return


@pytest.mark.parametrize("act", [hang, fail])
async def test_a_redis_that_does_not_take_it_is_reported_and_forgotten(
    act: Callable[[], Awaitable[None]],
) -> None:
    events: list[Event] = []
    task: Any = Canceled(Status.PROCESSING)
    began = time.monotonic()

    await Cancels(Signals(act), report=events.append).tell(task)

    assert time.monotonic() - began < 2
    [lost] = events
    assert isinstance(lost, StoreLost)


@pytest.mark.parametrize(("canceled_from", "times"), [(Status.PROCESSING, 1), (Status.PENDING, 0)])
async def test_only_a_run_is_told(canceled_from: Status, times: int) -> None:
    signals, task = Signals(succeed), Canceled(canceled_from)
    unheard: Any = task

    await Cancels(signals, report=lambda _: None).tell(unheard)

    assert signals.told == [task] * times


async def test_without_redis_nobody_is_told() -> None:
    task: Any = Canceled(Status.PROCESSING)

    await Cancels(None, report=lambda _: None).tell(task)
