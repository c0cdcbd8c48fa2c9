"""A bound on waiting that holds whatever the work does when it is canceled."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from sluice.api.timeout import Timeout
from sluice.core.errors import OutcomeUnknown


async def test_a_result_and_an_error_come_through() -> None:
    timeout = Timeout(timedelta(seconds=5))

    async def fail() -> None:
        raise LookupError("as it is")

    assert await timeout(asyncio.sleep(0, "result")) == "result"
    with pytest.raises(LookupError, match="as it is"):
        await timeout(fail())


async def test_the_time_is_over_even_when_the_work_clings_to_life() -> None:
    timeout, ended = Timeout(timedelta(seconds=0.05)), asyncio.Event()

    async def cling() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            await ended.wait()
            raise

    began = time.monotonic()
    with pytest.raises(OutcomeUnknown):
        await timeout(cling())

    assert time.monotonic() - began < 5
    assert timeout._working  # kept until it ends
    ended.set()
    while timeout._working:
        await asyncio.sleep(0)


async def test_canceling_the_caller_cancels_the_work() -> None:
    timeout, canceled = Timeout(timedelta(seconds=30)), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            canceled.set()

    async with asyncio.TaskGroup() as group:
        caller = group.create_task(timeout(work()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        caller.cancel()
        async with asyncio.timeout(5):
            await canceled.wait()
