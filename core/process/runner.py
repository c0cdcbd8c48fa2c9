"""Running one coroutine to its end on a loop that handlers share, and ending the process then. Knows no handler.

A task that a handler left behind may raise SystemExit or stop the loop, and asyncio then ends the loop for everybody;
a task, a thread or a process that it left behind would hold up the end of the process.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn, TypeVar

from sluice.core.process.leftovers import end_started

T = TypeVar("T")
_THREADS_END_SECONDS = 0.1
_TASKS_END_SECONDS = 0.1
_EXIT_SECONDS = 0.3
"""For what modules have asked to be called at exit (`atexit`), and for Python's own end."""


def run(
    main: Coroutine[Any, Any, T],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
    ours: Callable[[], bool],
    stray: Callable[[BaseException], None],
) -> T:
    """The result of `main`. What else stops the loop is told to `stray`, and the loop goes on.

    `ours` says whether signals are handled on the loop by now: before that, what stops the loop is raised.
    """
    _occupy_standard_numbers()
    loop = loop_factory()
    threads = ThreadPoolExecutor(thread_name_prefix="default")
    loop.set_default_executor(threads)
    task = loop.create_task(main)  # owner: this function
    try:
        _until_done(task, loop, ours, stray)
    finally:
        ending = loop.create_task(_end_tasks(loop))  # owner: this function
        _until_done(ending, loop, lambda: True, stray)
        threads.shutdown(wait=False, cancel_futures=True)
        if not asyncio.all_tasks(loop):  # a task that swallows its cancellation keeps its loop
            loop.close()
    return task.result()


def _occupy_standard_numbers() -> None:
    """Let no file of the loop have the number of a standard stream that was closed: libuv aborts when it closes one."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - it has the lowest free number


def leave(status: int, *, finish: Callable[[], None]) -> int:
    """The exit status. What was left behind ends first, and holds up the end of the process for a moment only.

    `finish` is done before an end without Python's own: with a thread that is still busy, or when that takes too long.
    """
    end_started()
    deadline = time.monotonic() + _THREADS_END_SECONDS
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                end_now(status, finish=finish)
    threading.Thread(target=_end_late, args=(status, finish), name="end", daemon=True).start()
    return status


def end_now(status: int, *, finish: Callable[[], None]) -> NoReturn:
    """End the process here, with all that handlers started: something in it cannot be awaited. Safe on any thread."""
    end_started()
    finish()
    os._exit(status)


def _end_late(status: int, finish: Callable[[], None]) -> None:
    time.sleep(_EXIT_SECONDS)
    end_now(status, finish=finish)


def _until_done(
    task: asyncio.Task[Any],
    loop: asyncio.AbstractEventLoop,
    ours: Callable[[], bool],
    stray: Callable[[BaseException], None],
) -> None:
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt, RuntimeError) as stopped:
            if task.done() or loop.is_closed() or not ours():
                raise
            stray(stopped)


async def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel the tasks that are left, and wait for them and for what generators do at their end, but not long."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    ends = loop.create_task(loop.shutdown_asyncgens())  # owner: this function
    await asyncio.wait({*tasks, ends}, timeout=_TASKS_END_SECONDS)
