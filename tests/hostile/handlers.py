"""What no handler should do. Each hurts itself; tests look at its neighbours."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn

from consumer import Context, Retry, Snooze, handler
from consumer.context import DetachedContext
from tests.support.consuming import FULL
from tests.support.handlers import note

kept: list[Any] = []
"""What must not be collected while a test looks."""


@handler("good")
async def good(ctx: Context, payload: dict[str, Any]) -> str:
    note(ctx, "good")
    return "good"


@handler("good.thread")
def good_thread(ctx: Context, payload: dict[str, Any]) -> str:
    note(ctx, "good")
    return "good"


class Unprintable(Exception):
    """Its text raises what it was made with."""

    def __str__(self) -> NoReturn:
        raise self.args[0]

    __repr__ = __str__


class Unreadable(Exception):
    """Its notes raise."""

    @property
    def __notes__(self) -> list[str]:  # type: ignore[override] # it is the oddity
        raise SystemExit(3)


class Bare(Retry):
    """Derived without the constructor."""

    def __init__(self) -> None:
        Exception.__init__(self, "bare")


class BareSnooze(Snooze):
    """As Bare."""

    def __init__(self) -> None:
        Exception.__init__(self, "bare")


class Unsendable(Exception):
    """Cannot travel from a child."""

    def __reduce__(self) -> NoReturn:
        raise KeyboardInterrupt


def _odd_delay() -> Exception:
    error = Retry("odd")
    error.after = "soon"  # type: ignore[assignment] # it is the oddity
    return error


RAISED: dict[str, Callable[[], BaseException]] = {
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "CancelledError": asyncio.CancelledError,
    "StopIteration": StopIteration,
    "MemoryError": MemoryError,
    "RecursionError": RecursionError,
    "a group": lambda: BaseExceptionGroup("many", [SystemExit(n) for n in range(1000)]),
    "50 MB": lambda: ValueError("x" * 50_000_000),
    "hostile text": lambda: ValueError("\0\x1b[2J\ud800\r\n" * 1000),
    "SystemExit of its text": lambda: Unprintable(SystemExit(3)),
    "CancelledError of its text": lambda: Unprintable(asyncio.CancelledError()),
    "unreadable notes": Unreadable,
    "a bare Retry": Bare,
    "a bare Snooze": BareSnooze,
    "a Retry of text": _odd_delay,
    "unsendable": Unsendable,
}


def _raised(payload: dict[str, Any]) -> BaseException:
    return RAISED[payload["what"]]()


@handler("raise", max_attempts=1)
async def raise_(ctx: Context, payload: dict[str, Any]) -> None:
    raise _raised(payload)


@handler("raise.thread", max_attempts=1)
def raise_in_thread(ctx: Context, payload: dict[str, Any]) -> None:
    raise _raised(payload)


@handler("raise.child", max_attempts=1, cpu_bound=True)
def raise_in_child(ctx: DetachedContext, payload: dict[str, Any]) -> None:
    raise _raised(payload)


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


def _deep(levels: int) -> list[Any]:
    deep: list[Any] = []
    for _ in range(levels):
        deep = [deep]
    return deep


class Odd(dict[Any, Any]):
    """A dict whose own methods raise."""

    def items(self) -> NoReturn:
        raise SystemExit(3)

    def values(self) -> NoReturn:
        raise SystemExit(3)


RETURNED: dict[str, Callable[[], Any]] = {
    "1 MiB and a bit": lambda: "x" * (1 << 20),
    "100 MiB": lambda: "x" * (100 << 20),
    "a million lists": lambda: [[] for _ in range(1_000_000)],
    "a set": lambda: {1, 2},
    "bytes": lambda: b"x",
    "NaN": lambda: {"a": [float("nan")]},
    "NUL": lambda: {"a": "\0"},
    "NUL in a key": lambda: {"\0": 1},
    "a lone surrogate": lambda: ["\ud800"],
    "keys of numbers": lambda: {1: 2},
    "65 levels": lambda: _deep(65),
    "100,000 levels": lambda: _deep(100_000),
    "a circle": _circle,
    "65 bits": lambda: 1 << 65,
    "a function": lambda: print,
    "a coroutine function": lambda: good,
    "odd values": lambda: Odd(a=None, b=float("inf")),
}


@handler("return", max_attempts=1)
async def return_(ctx: Context, payload: dict[str, Any]) -> Any:
    return RETURNED[payload["what"]]()


@handler("return.child", max_attempts=1, cpu_bound=True)
def return_from_child(ctx: DetachedContext, payload: dict[str, Any]) -> Any:
    return RETURNED[payload["what"]]()


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


@handler("do", max_attempts=1)
async def do(ctx: Context, payload: dict[str, Any]) -> None:
    await DONE[payload["what"]](ctx)


@handler("child.exits", max_attempts=1, cpu_bound=True)
def child_exits(ctx: DetachedContext, payload: dict[str, Any]) -> None:
    if payload["how"] == "fills":
        print("z" * (8 << 20), flush=True)  # noqa: T201 - it is the oddity
    os._exit(payload.get("status", 0))
