"""A bound on waiting that holds whatever the work does when it is canceled."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from sluice.api.timeout import Patience
from sluice.core.errors import OutcomeUnknown


async def test_a_result_and_an_error_come_through() -> None:
    patience = Patience(timedelta(seconds=5))

    async def fail() -> None:
        raise LookupError("as it is")

    assert await patience(asyncio.sleep(0, "result")) == "result"
    with pytest.raises(LookupError, match="as it is"):
        await patience(fail())


async def test_the_time_is_over_even_when_the_work_clings_to_life() -> None:
    patience, ended = Patience(timedelta(seconds=0.05)), asyncio.Event()

    async def cling() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            await ended.wait()
            raise

    began = time.monotonic()
    with pytest.raises(OutcomeUnknown):
        await patience(cling())

    assert time.monotonic() - began < 5
    assert patience._working  # kept until it ends
    ended.set()
    while patience._working:
        await asyncio.sleep(0)


async def test_canceling_the_caller_cancels_the_work() -> None:
    patience, canceled = Patience(timedelta(seconds=30)), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            canceled.set()

    async with asyncio.TaskGroup() as group:
        caller = group.create_task(patience(work()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        caller.cancel()
        async with asyncio.timeout(5):
            await canceled.wait()
