"""What a handler in a thread sees of the try before it, and what it leaves to be awaited."""

from __future__ import annotations

import asyncio
import decimal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest
import structlog

from sluice import Context
from sluice.consumer.runs.running import Stop
from sluice.core.outcome import Canceled, Succeeded, TimedOut
from sluice.core.task import JsonText
from tests.support.eventually import eventually
from tests.unit.in_threads import Scene


async def test_a_thread_keeps_nothing_of_the_context_of_the_task_before(threads: ThreadPoolExecutor) -> None:
    seen: list[tuple[dict[str, Any], int]] = []

    def binds(ctx: Context, payload: object) -> None:
        seen.append((structlog.contextvars.get_contextvars(), decimal.getcontext().prec))
        structlog.contextvars.bind_contextvars(customer="the first one's")
        decimal.getcontext().prec = 5

    for _ in range(2):
        s = Scene(threads)
        s.start(binds)
        assert await s.end() == Succeeded()
    assert seen == [({}, decimal.DefaultContext.prec)] * 2


VARIABLE = ContextVar("variable", default="")


async def coroutine(ctx: Context, payload: object) -> str:
    await asyncio.sleep(0)
    return f"awaited on {threading.current_thread().name} with {VARIABLE.get()}"


async def test_a_plain_function_around_an_async_one_is_awaited_on_the_loop(
    threads: ThreadPoolExecutor,
) -> None:
    def plain(ctx: Context, payload: object) -> Any:
        VARIABLE.set("what it set")
        return coroutine(ctx, payload)

    s = Scene(threads)
    s.start(plain)
    assert await s.end() == Succeeded(JsonText('"awaited on MainThread with what it set"'))
    assert s.vacated == 1
    assert VARIABLE.get() == ""


async def test_a_stop_reaches_what_a_plain_function_has_left_to_be_awaited(
    threads: ThreadPoolExecutor,
) -> None:
    begun = asyncio.Event()

    async def waits() -> None:
        begun.set()
        await asyncio.Event().wait()

    s = Scene(threads)
    s.start(lambda *_: waits())
    await begun.wait()
    s.run.stop(Stop.CANCELED)
    assert await s.end() == Canceled()
    assert s.vacated == 1


@pytest.mark.filterwarnings("error")
async def test_what_a_thread_leaves_to_be_awaited_too_late_is_closed(threads: ThreadPoolExecutor) -> None:
    def plain(ctx: Context, payload: object) -> Any:
        s.holds(ctx, payload)
        return coroutine(ctx, payload)

    s = Scene(threads)
    s.start(plain)
    await s.begun()
    s.run.stop(Stop.TIMED_OUT)
    assert isinstance(await s.end(), TimedOut)
    s.go.set()
    await eventually(lambda: s.vacated)
