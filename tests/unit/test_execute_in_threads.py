from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from sluice import Context
from sluice.consumer.runs.running import Stop
from sluice.core.attempts import TaskRetrying
from sluice.core.outcome import Canceled, Failed, Failure, Interrupted, Outcome, Succeeded, TimedOut
from sluice.core.task import JsonText
from tests.support.eventually import eventually
from tests.unit.in_threads import Scene


@contextlib.asynccontextmanager
async def running(threads: ThreadPoolExecutor, **facts: float) -> AsyncIterator[Scene]:
    """A scene whose handler has its thread, and lets it go at the end."""
    s = Scene(threads, **facts)
    s.start()
    try:
        await s.begun()
        yield s
    finally:
        s.go.set()


async def test_a_sync_handler_runs_in_a_thread_and_its_slot_is_free_when_it_returns(
    threads: ThreadPoolExecutor,
) -> None:
    async with running(threads) as s:
        assert s.vacated == 0
        s.go.set()
        assert await s.end() == Succeeded(JsonText('"handler_0"'))
    assert (s.vacated, s.saw) == (1, [False])


@pytest.mark.parametrize(
    ("raised", "failure"),
    [
        (ValueError("broken"), Failure("ValueError", "broken")),
        (SystemExit(3), Failure("SystemExit", "3")),
        (StopIteration(), Failure("StopIteration", "")),
        (asyncio.CancelledError(), Failure("CancelledError", "")),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_whatever_it_raises_is_its_failure(
    threads: ThreadPoolExecutor, raised: BaseException, failure: Failure
) -> None:
    def broken(ctx: Context, payload: object) -> None:
        raise raised

    s = Scene(threads)
    s.start(broken)

    assert await s.end() == Failed(failure)
    assert s.vacated == 1
    [told] = s.events.of(TaskRetrying)
    assert "in broken" in (told.traceback or "")


@pytest.mark.parametrize(
    ("stop", "expected"), [(Stop.CANCELED, Canceled()), (Stop.TIMED_OUT, TimedOut(timedelta(seconds=60)))]
)
async def test_a_thread_whose_row_need_not_wait_keeps_its_slot_until_it_returns(
    threads: ThreadPoolExecutor, stop: Stop, expected: Outcome
) -> None:
    async with running(threads) as s:
        s.run.stop(stop)
        assert await s.end() == expected
        assert s.vacated == 0
        s.go.set()
        await eventually(lambda: s.vacated)
    assert (s.vacated, s.saw) == (1, [True])
    told = [event.error for event in s.events.of(TaskRetrying)]
    assert told == (["Timeout: did not end within 60 s"] if stop is Stop.TIMED_OUT else [])


async def test_a_timeout_is_kept_by_the_clock(threads: ThreadPoolExecutor) -> None:
    async with running(threads, timeout=0.02) as s:
        assert await s.end() == TimedOut(timedelta(seconds=0.02))
        assert s.vacated == 0


@pytest.mark.parametrize("stop", [Stop.DRAIN, Stop.LEASE])
async def test_a_thread_that_a_drain_or_a_lost_lease_stops_is_waited_for(
    threads: ThreadPoolExecutor, stop: Stop
) -> None:
    async with running(threads) as s:
        s.run.stop(stop)
        await ticks()
        assert s.outcome is None, "its row must not start elsewhere beside it"
        s.go.set()
        assert await s.end() == Interrupted()
    assert (s.vacated, s.saw, s.events.all) == (1, [True], [])


async def test_a_drain_does_not_wait_for_a_thread_that_was_left_behind_before(
    threads: ThreadPoolExecutor,
) -> None:
    async with running(threads) as s:
        s.run.stop(Stop.CANCELED)
        s.run.stop(Stop.DRAIN)
        assert await s.end() == Canceled()


@pytest.mark.parametrize("stop", list(Stop))
async def test_a_handler_that_still_waits_for_a_thread_when_it_is_stopped_never_begins(
    threads: ThreadPoolExecutor, stop: Stop
) -> None:
    async with running(threads):
        queued = Scene(threads)
        queued.start()
        await ticks()
        queued.run.stop(stop)
        await queued.end()
        assert queued.vacated == 1

    later = threads.submit(lambda: None)
    await eventually(later.done)
    assert not queued.began.is_set()


async def test_a_run_that_was_to_stop_before_it_began_does_not_begin_when_no_thread_is_free(
    threads: ThreadPoolExecutor,
) -> None:
    async with running(threads):
        queued = Scene(threads)
        queued.run.stop(Stop.CANCELED)
        queued.start()
        assert await queued.end() == Canceled()
    assert not queued.began.is_set()


async def ticks(n: int = 20) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


def test_a_thread_that_returns_after_the_loop_has_ended_does_no_harm(
    caplog: pytest.LogCaptureFixture,
) -> None:
    executor = ThreadPoolExecutor(1)
    s = Scene(executor)

    async def leave_behind() -> None:
        s.start()
        await s.begun()
        s.run.stop(Stop.CANCELED)
        await s.end()

    with asyncio.Runner() as runner:
        runner.run(leave_behind())
    s.go.set()
    executor.shutdown()
    assert s.vacated == 0
    assert caplog.records == []
