"""Running one coroutine to its end on a loop that handlers share. Knows no handler.

A task that a handler left behind may raise SystemExit or stop the loop, and asyncio then ends the loop for everybody;
a thread that it left behind would hold up the end of the process.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
_THREADS_END_SECONDS = 0.1


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
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        loop = runner.get_loop()
        threads = ThreadPoolExecutor(thread_name_prefix="default")
        loop.set_default_executor(threads)
        task = loop.create_task(main)  # owner: this function
        while not task.done():
            try:
                loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt, RuntimeError) as stopped:
                if task.done() or loop.is_closed() or not ours():
                    raise
                stray(stopped)
        threads.shutdown(wait=False, cancel_futures=True)
        loop.set_default_executor(ThreadPoolExecutor(1))  # the runner would wait for the other's threads
        return task.result()


def _occupy_standard_numbers() -> None:
    """Let no file of the loop have the number of a standard stream that was closed: libuv aborts when it closes one."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free


def leave(status: int, *, finish: Callable[[], None]) -> int:
    """The exit status. With a thread that is still busy, and may be for ever, the process ends here, after `finish`."""
    deadline = time.monotonic() + _THREADS_END_SECONDS
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                finish()
                os._exit(status)
    return status
