"""What no handler should do. Each hurts itself; tests look at its neighbours."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any, NoReturn

from sluice import Context, Retry, Snooze, handler
from sluice.consumer.handlers.context import DetachedContext
from tests.hostile.doing import DONE
from tests.support.handlers import note


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


@handler("do", max_attempts=1)
async def do(ctx: Context, payload: dict[str, Any]) -> None:
    await DONE[payload["what"]](ctx)


@handler("child.exits", max_attempts=1, cpu_bound=True)
def child_exits(ctx: DetachedContext, payload: dict[str, Any]) -> None:
    if payload["how"] == "fills":
        print("z" * (8 << 20), flush=True)  # noqa: T201 - it is the oddity
    os._exit(payload.get("status", 0))
