"""Handlers that run in child processes: the children import this module by its name."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Never

from sluice import Discard, Retry, Snooze
from sluice.consumer.handlers.context import DetachedContext

Payload = dict[str, Any]


class TwoArguments(Exception):
    """Cannot be made again from its text."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


class Gone(Discard):
    """Cannot be made again from its text."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


class Busy(Retry):
    """Cannot be made again from its text."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}", after=7)


class Later(Snooze):
    """Cannot be made again from its text."""

    def __init__(self, hours: float, minutes: float) -> None:
        super().__init__(hours * 3600 + minutes * 60)

    def __reduce__(self) -> Never:
        raise TypeError("not to be pickled")


class Hasty(Retry):
    """Leaves our constructor out, and cannot be made again."""

    def __init__(self, one: str, two: str) -> None:
        Exception.__init__(self, f"{one} and {two}")


def answer(ctx: DetachedContext, payload: Payload) -> Payload:
    return {**payload, "try": ctx.attempt, "pid": os.getpid(), "canceled": ctx.canceled}


async def _in_a_while(ctx: DetachedContext, payload: Payload) -> Payload:
    await asyncio.sleep(0.001)
    if payload.get("fails"):
        raise ValueError("broken in a while")
    return {**payload, "try": ctx.attempt}


def around_an_async_def(ctx: DetachedContext, payload: Payload) -> Awaitable[Payload]:
    return _in_a_while(ctx, payload)


def a_megabyte(ctx: DetachedContext, payload: Payload) -> str:
    return "x" * (1024 * 1024 - 2)


def too_much(ctx: DetachedContext, payload: Payload) -> str:
    return "x" * (1024 * 1024)


def broken(ctx: DetachedContext, payload: Payload) -> Never:
    raise ValueError("broken")


def broken_untransportably(ctx: DetachedContext, payload: Payload) -> Never:
    raise TwoArguments("one", "two")


def broken_hugely(ctx: DetachedContext, payload: Payload) -> Never:
    raise ValueError("x" * 3_000_000)


def leave(ctx: DetachedContext, payload: Payload) -> Never:
    raise SystemExit(3)


def retry(ctx: DetachedContext, payload: Payload) -> Never:
    raise Retry("busy", after=7)


def snooze(ctx: DetachedContext, payload: Payload) -> Never:
    raise Snooze(9)


def discard(ctx: DetachedContext, payload: Payload) -> Never:
    raise Discard("gone")


def raise_one_of_its_own(ctx: DetachedContext, payload: Payload) -> Never:
    raise {
        "gone": Gone("one", "two"),
        "busy": Busy("one", "two"),
        "later": Later(1, 30),
        "hasty": Hasty("one", "two"),
    }[payload["which"]]


def die(ctx: DetachedContext, payload: Payload) -> Never:
    os._exit(7)


def be_killed(ctx: DetachedContext, payload: Payload) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def be_asked_to_end(ctx: DetachedContext, payload: Payload) -> str:
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(os.getpid(), number)
    return "still here"


def leave_somebody_behind(ctx: DetachedContext, payload: Payload) -> None:
    """A process of another session that keeps all that this one has open, then run until something ends this one."""
    child = os.fork()
    if not child:
        os.setsid()
        time.sleep(30)
        os._exit(0)
    with Path(payload["say"]).open("a") as told:
        told.write(f"{child}\n")
    time.sleep(600)


def run_on(ctx: DetachedContext, payload: Payload) -> None:
    """Say the pid, then run until something ends this process."""
    with Path(payload["say"]).open("a") as told:
        told.write(f"{os.getpid()}\n")
    time.sleep(600)


def square(number: int) -> int:
    return number * number


def use_pools(ctx: DetachedContext, payload: Payload) -> list[list[int]]:
    context = multiprocessing.get_context(payload["method"])
    with context.Pool(2) as pool:
        found = [pool.map(square, range(3))]
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        return [*found, [*executor.map(square, range(3))]]


def start_others(ctx: DetachedContext, payload: Payload) -> int:
    """Processes of each kind, of which the first has one of its own; their pids are told. Then run on, if `runs_on`."""
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    forked = multiprocessing.get_context("fork").Process(target=_with_one_more, args=(payload["say"],))
    spawned = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    forked.start()
    spawned.start()
    with Path(payload["say"]).open("a") as told:
        told.write(f"{os.getpid()}\n{program.pid}\n{forked.pid}\n{spawned.pid}\n")
    while payload["runs_on"] or len(Path(payload["say"]).read_text().split()) < OTHERS:
        time.sleep(0.01)
    return OTHERS


OTHERS = 5


def _with_one_more(say: str) -> None:
    one_more = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with Path(say).open("a") as told:
        told.write(f"{one_more.pid}\n")
    time.sleep(600)


def end_programs(ctx: DetachedContext, payload: Payload) -> list[int | None]:
    """How a program and a forked process end that are asked to."""
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    forked = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    forked.start()
    for started in (program, forked):
        started.terminate()
    program.wait()
    forked.join()
    return [program.returncode, forked.exitcode]


def go_on(ctx: DetachedContext, payload: Payload) -> str:
    """Say the pid, then run until the file is there."""
    with Path(payload["say"]).open("a") as told:
        told.write(f"{os.getpid()}\n")
    while not Path(payload["until"]).exists():
        time.sleep(0.01)
    return "went on"


class Nested:
    @staticmethod
    def act(ctx: DetachedContext, payload: Payload) -> str:
        return f"{ctx.kind} {payload}"
