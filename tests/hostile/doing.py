"""What the handler `do` does to its own loop, threads and log, by name."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from sluice import Context
from tests.support.consuming import FULL
from tests.support.handlers import note

kept: list[Any] = []
"""What must not be collected while a test looks."""


async def _leave_system_exit(ctx: Context) -> None:
    async def stray() -> None:
        await asyncio.sleep(0.01)
        sys.exit(3)

    kept.append(asyncio.get_running_loop().create_task(stray()))  # owner: kept


async def _gather_exits(ctx: Context) -> None:
    async def stray() -> None:
        raise KeyboardInterrupt

    async with asyncio.TaskGroup() as group:
        group.create_task(stray())
        await asyncio.sleep(5)


async def _stop_loop(ctx: Context) -> None:
    asyncio.get_running_loop().stop()


async def _close_loop(ctx: Context) -> None:
    asyncio.get_running_loop().close()


async def _leave_tasks(ctx: Context) -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    async def fail() -> None:
        raise ValueError("nobody awaits this")

    loop = asyncio.get_running_loop()
    kept.extend(loop.create_task(act()) for act in (forever, fail) * 200)  # owner: kept


async def _cancel_itself_later(ctx: Context) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_soon(task.cancel)


async def _cancel_itself_now(ctx: Context) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


async def _swallow_cancels(ctx: Context) -> None:
    note(ctx, "swallowing")
    while not Path(os.environ["RUNS"]).with_name("enough").exists():
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            note(ctx, "swallowed")


async def _exhaust_default_threads(ctx: Context) -> None:
    loop = asyncio.get_running_loop()
    kept.extend(loop.run_in_executor(None, time.sleep, 3600) for _ in range(64))


async def _leave_threads(ctx: Context) -> None:
    for _ in range(20):
        threading.Thread(target=time.sleep, args=(3600,)).start()


async def _flood_log(ctx: Context) -> None:
    for n in range(100_000 if FULL else 10_000):
        ctx.log.warning("flood", n=n, words="x" * 1000)
        if n % 1000 == 0:
            await asyncio.sleep(0)


async def _flood_logging(ctx: Context) -> None:
    logger = logging.getLogger("flood")
    for n in range(5000):
        logger.error("%s %s", n, "y" * 200)


async def _redirect(ctx: Context) -> None:
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115, ASYNC230 - it is the oddity
    sys.stderr.close()


async def _open_many_sessions(ctx: Context) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(ctx.session())


DONE: dict[str, Callable[[Context], Coroutine[Any, Any, None]]] = {
    "leaves a task that exits": _leave_system_exit,
    "interrupts from a group": _gather_exits,
    "stops the loop": _stop_loop,
    "closes the loop": _close_loop,
    "leaves tasks": _leave_tasks,
    "cancels itself later": _cancel_itself_later,
    "cancels itself now": _cancel_itself_now,
    "swallows cancels": _swallow_cancels,
    "exhausts threads": _exhaust_default_threads,
    "leaves threads": _leave_threads,
    "floods the log": _flood_log,
    "floods logging": _flood_logging,
    "closes stderr": _redirect,
    "opens many sessions": _open_many_sessions,
}
