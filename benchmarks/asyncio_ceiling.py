"""How many coroutines that do nothing one event loop starts and finishes a second, by each way to start them.

Usage: python -m benchmarks.asyncio_ceiling WAY LOOP N, with `uvloop` or `asyncio` as LOOP; `python -m
benchmarks.asyncio_ceiling ways` prints the ways that this Python has. Prints a line of JSON. Imports nothing of ours,
so that any Python can run it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

Way = Callable[[int], Coroutine[Any, Any, int]]
_AT_ONCE = 100
_MORE, _END = True, False


async def nothing(done: list[int]) -> None:
    """What a handler is that has nothing to do."""
    done[0] += 1


async def await_plainly(n: int) -> int:
    """No task at all: the least that a call of a coroutine costs."""
    done = [0]
    for _ in range(n):
        await nothing(done)
    return done[0]


async def start_tasks(n: int) -> int:
    """A task for each, as many at once as a consumer has slots, kept in a set as their owner would."""
    return await _start(n, asyncio.get_running_loop().create_task)


async def start_eagerly(n: int) -> int:
    """The same, but each begins to run where it is made (Python 3.12)."""
    # Not by the loop: what uvloop hands to a task's constructor is not what every Python takes.
    eager = partial(asyncio.Task, loop=asyncio.get_running_loop(), eager_start=True)  # type: ignore[call-arg,unused-ignore]
    return await _start(n, eager)


async def _start(n: int, start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> int:
    done = [0]
    running: set[asyncio.Task[None]] = set()
    for first in range(0, n, _AT_ONCE):
        for _ in range(min(_AT_ONCE, n - first)):
            task = start(nothing(done))  # owner: the set, until it has ended
            running.add(task)
            task.add_done_callback(running.discard)
        while running:  # noqa: ASYNC110 - one pass of the loop ends them all, and an event would cost one more
            await asyncio.sleep(0)
    return done[0]


async def start_in_groups(n: int) -> int:
    """The same, in a TaskGroup for each handful."""
    done = [0]
    for first in range(0, n, _AT_ONCE):
        async with asyncio.TaskGroup() as group:
            for _ in range(min(_AT_ONCE, n - first)):
                group.create_task(nothing(done))
    return done[0]


async def feed_runners(n: int) -> int:
    """No task for each: as many runners as a consumer has slots wait at one queue."""
    done = [0]
    queue: asyncio.Queue[bool] = asyncio.Queue(_AT_ONCE)

    async def work() -> None:
        while await queue.get():
            await nothing(done)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(work())
        for _ in range(n):
            await queue.put(_MORE)
        for _ in range(_AT_ONCE):
            await queue.put(_END)
    return done[0]


def ways() -> dict[str, Way]:
    """By name. Without eager tasks where this Python has none."""
    every: dict[str, Way] = {
        "plain await": await_plainly,
        "a task each": start_tasks,
        "a task group for each 100": start_in_groups,
        "100 runners at a queue": feed_runners,
    }
    if hasattr(asyncio, "eager_task_factory"):
        every["an eager task each"] = start_eagerly
    return every


def measure(way: str, loop: str, n: int) -> dict[str, Any]:
    """Seconds for `n` coroutines, every one of them finished."""
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if loop == "uvloop":
        import uvloop  # noqa: PLC0415 - a Python without it can still measure the other loop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        began = time.perf_counter()
        done = runner.run(ways()[way](n))
        seconds = time.perf_counter() - began
    if done != n:
        raise SystemExit(f"{way} finished {done} of {n}")
    return {"n": n, "seconds": round(seconds, 4), "rate": n / seconds}


if __name__ == "__main__":
    if sys.argv[1:] == ["ways"]:
        print(json.dumps(list(ways())))
    else:
        print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
