"""Handlers that start processes by themselves: some end them, some leave them behind."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from sluice import Context, handler
from sluice.consumer.handlers.context import DetachedContext
from tests.support.handlers import compute, note

FORK = multiprocessing.get_context("fork")
SPAWN = multiprocessing.get_context("spawn")
left: list[Any] = []


@handler("fork-and-signal")
def fork_and_signal(ctx: Context, payload: dict[str, Any]) -> int | None:
    """The exit status of a child that got the signal `number` as soon as it was forked."""
    child = FORK.Process(target=time.sleep, args=(30,))
    child.start()
    os.kill(child.pid or 0, payload["number"])
    child.join()
    return child.exitcode


@handler("leave-spawned")
def leave_spawned(ctx: Context, payload: dict[str, Any]) -> None:
    child = SPAWN.Process(target=time.sleep, args=(300,))
    child.start()
    left.append(child)
    note(ctx, "left", process=child.pid)


@handler("leave-forked")
def leave_forked(ctx: Context, payload: dict[str, Any]) -> None:
    """By an executor, from a thread that ends."""
    executor = ProcessPoolExecutor(1, mp_context=FORK)
    left.append(executor)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(executor.submit(os.getpid).result()))
    thread.start()
    thread.join()
    note(ctx, "left", process=found[0])


@handler("compute-beside", cpu_bound=True)
def compute_beside(ctx: DetachedContext, payload: dict[str, Any]) -> None:
    """Computes as `compute`, while a program does so too."""
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    compute(ctx, payload)


@handler("leave-program")
def leave_program(ctx: Context, payload: dict[str, Any]) -> None:
    """`session`: in a session of its own, by which it says that it is to live on."""
    program = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(300)"],
        start_new_session=payload.get("session", False),
        stderr=subprocess.DEVNULL,
    )
    left.append(program)
    note(ctx, "left", process=program.pid)


@handler("leave-task")
async def leave_task(ctx: Context, payload: dict[str, Any]) -> None:
    """An asyncio task that no cancellation ends."""

    async def stubborn() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(300)

    left.append(asyncio.get_running_loop().create_task(stubborn()))  # owner: nobody, which is the point
    note(ctx, "left")


@handler("leave-thread")
def leave_thread(ctx: Context, payload: dict[str, Any]) -> None:
    thread = threading.Thread(target=time.sleep, args=(300,))
    thread.start()
    note(ctx, "left")


@handler("leave-atexit")
def leave_atexit(ctx: Context, payload: dict[str, Any]) -> None:
    import atexit

    atexit.register(time.sleep, 300)
    note(ctx, "left")


@handler("exit-process")
def exit_process(ctx: Context, payload: dict[str, Any]) -> None:
    os._exit(9)
