"""The handlers of a simulated process: fast, slow, failing, deaf to cancels, blocking, transactional, deadly …

Each is told by its payload what to do. In every mode it is a coroutine: SimThreads and SimChildren drive those that
stand for threads and for child processes.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine
from random import Random
from typing import TYPE_CHECKING, Any

import orjson

from sluice.consumer.handlers.exceptions import Discard, Retry, Snooze
from sluice.consumer.handlers.registry import Handler, Mode
from sluice.consumer.handlers.result import encode
from sluice.consumer.runs.cpu.child import ChildDied
from sluice.core.task import JsonText, Kind
from tests.simulation.observed import Execution

if TYPE_CHECKING:
    from tests.simulation.process import SimProcess

_FOR_EVER = 1_000_000
_FORK_SECONDS = 0.005
Body = Callable[["SimProcess", Any, dict[str, Any], Execution], Coroutine[Any, Any, Any]]


class Sour(Exception):
    """A handler's own failure."""


async def fast(process: SimProcess, ctx: Any, payload: dict[str, Any], _: Execution) -> Any:
    await asyncio.sleep(payload["seconds"])
    return {"attempt": ctx.attempt}


async def failing(process: SimProcess, ctx: Any, payload: dict[str, Any], _: Execution) -> Any:
    await asyncio.sleep(payload["seconds"])
    if process.remember(ctx.id, "failed") <= payload["times"]:
        raise Sour("not yet")
    return None


async def retrying(process: SimProcess, ctx: Any, payload: dict[str, Any], _: Execution) -> Any:
    await asyncio.sleep(payload["seconds"])
    if process.remember(ctx.id, "retried") <= payload["times"]:
        raise Retry(after=payload["seconds"])
    return None


async def snoozing(process: SimProcess, ctx: Any, payload: dict[str, Any], _: Execution) -> Any:
    if process.remember(ctx.id, "snoozed") <= payload["times"]:
        raise Snooze(payload["seconds"])
    return None


async def discarding(process: SimProcess, ctx: Any, payload: dict[str, Any], _: Execution) -> Any:
    await asyncio.sleep(payload["seconds"])
    raise Discard("never")


async def deaf(process: SimProcess, ctx: Any, payload: dict[str, Any], execution: Execution) -> Any:
    """Goes on for a while when it is canceled."""
    try:
        await asyncio.sleep(payload["seconds"])
    except asyncio.CancelledError:
        process.history.stopped(execution)
        for _ in range(4):
            try:
                await asyncio.sleep(payload["deaf"] / 4)
            except asyncio.CancelledError:
                continue
    return None


async def blocking(process: SimProcess, ctx: Any, payload: dict[str, Any], _: Execution) -> Any:
    """Keeps the event loop from running; the beat goes on beside it (L2 heartbeat)."""
    process.block(payload["seconds"])
    await asyncio.sleep(0)
    return None


async def session(process: SimProcess, ctx: Any, payload: dict[str, Any], _: Execution) -> Any:
    found = await ctx.session()
    found.add((ctx.id, ctx.fencing_token))
    await asyncio.sleep(payload["seconds"])
    if process.remember(ctx.id, "session") <= payload["times"]:
        raise Sour("after its writes")
    return None


async def deadly(process: SimProcess, ctx: Any, payload: dict[str, Any], _: Execution) -> Any:
    """Takes its process along."""
    await asyncio.sleep(payload["seconds"])
    if process.remember(ctx.id, "killed") <= payload["times"]:
        process.history.marks["killed by its task"] += 1
        process.die("killed by a task")
        await asyncio.get_running_loop().create_future()
    return None


async def in_thread(process: SimProcess, ctx: Any, payload: dict[str, Any], _: Execution) -> Any:
    """A `def` handler; half of them look whether they are to stop."""
    until = asyncio.get_running_loop().time() + payload["seconds"]
    while asyncio.get_running_loop().time() < until and not (payload["looks"] and ctx.canceled):
        await asyncio.sleep(min(payload["seconds"] / 5, 0.5))
    return None


BODIES: dict[str, tuple[Mode, Body]] = {
    "fast": (Mode.LOOP, fast),
    "slow": (Mode.LOOP, fast),
    "failing": (Mode.LOOP, failing),
    "retrying": (Mode.LOOP, retrying),
    "snoozing": (Mode.LOOP, snoozing),
    "discarding": (Mode.LOOP, discarding),
    "deaf": (Mode.LOOP, deaf),
    "blocking": (Mode.LOOP, blocking),
    "session": (Mode.LOOP, session),
    "deadly": (Mode.LOOP, deadly),
    "thread": (Mode.THREAD, in_thread),
    "computing": (Mode.PROCESS, fast),
}


def payload(kind: str, random: Random, lease: float) -> dict[str, Any]:
    """What a task of this kind is told."""
    seconds = 0.003 if kind == "fast" else random.choice((0.0, 0.05, 0.4, lease * 0.4, min(3.0, lease * 1.5)))
    if kind == "slow":
        seconds = lease * random.choice((0.8, 1.5, 3.0))
    if kind == "blocking":
        seconds = random.choice((0.05, lease * 0.5, lease * 1.2, lease * 2))
    return {
        "seconds": round(seconds, 6),
        "times": random.choice((1, 2, _FOR_EVER) if kind == "deadly" else (0, 1, 1, 2, 4)),
        "deaf": round(random.choice((0.1, lease * 0.1, lease)), 6),
        "looks": random.random() < 0.5,
    }


def registry(process: SimProcess, without: frozenset[str] = frozenset()) -> dict[Kind, Handler]:
    """Every kind but those, as the loader would have found it."""
    return {
        Kind(kind): Handler(Kind(kind), _watched(process, mode, body), mode, orjson.loads, None, None, None)
        for kind, (mode, body) in BODIES.items()
        if kind not in without
    }


def _watched(process: SimProcess, mode: Mode, body: Body) -> Callable[..., Any]:
    """The handler, with its first and its last line told to the history."""

    async def run(ctx: Any, told: dict[str, Any]) -> Any:
        history = process.history
        execution = history.starts(process, (ctx.id, ctx.fencing_token), mode.name.lower())
        how = "raised"
        try:
            result = await body(process, ctx, told, execution)
            how = "returned"
            return result
        except asyncio.CancelledError:
            how = "canceled"
            history.stopped(execution)
            raise
        except GeneratorExit:
            how = "left"
            raise
        except Snooze:
            how = "snoozed"
            raise
        finally:
            if how != "left":
                history.ends(execution, how)

    return run


class SimThreads:
    """An Executor: each handler on a host of its own, which runs on while the loop is blocked."""

    def __init__(self, process: SimProcess) -> None:
        self._process = process

    def submit(self, function: Any, *arguments: Any) -> concurrent.futures.Future[Any]:
        """Begin at once: there are as many threads as slots."""
        work: concurrent.futures.Future[Any] = concurrent.futures.Future()
        host = self._process.thread_host()
        self._process.loop.start(host, self._run(work, function, arguments))
        return work

    async def _run(
        self, work: concurrent.futures.Future[Any], function: Any, arguments: tuple[Any, ...]
    ) -> None:
        await asyncio.sleep(0)
        if not work.set_running_or_notify_cancel():
            return
        try:
            result = await function(*arguments)
        except Exception as error:  # noqa: BLE001 - as concurrent.futures does
            work.set_exception(error)
        else:
            work.set_result(result)


class SimChildren:
    """Children: a child process for each call, killed when its run is to stop."""

    def __init__(self, process: SimProcess) -> None:
        self._process = process

    async def call(self, run: Any, handler: Handler, ctx: Any, told: Any) -> JsonText | None:
        """The encoded result. Raises what the handler raised, or ChildDied."""
        process, loop = self._process, asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        host = process.thread_host()
        process.loop.start(host, self._run(answer, handler, ctx, told))

        def kill(_: Any) -> None:
            host.die()
            process.history.running = [
                one for one in process.history.running if one.key != (ctx.id, ctx.fencing_token)
            ]
            if not answer.done():
                answer.set_exception(ChildDied("the child process died: signal SIGKILL"))

        run.on_stop = kill
        try:
            return encode(await answer)
        finally:
            run.on_stop = None

    async def _run(self, answer: asyncio.Future[Any], handler: Handler, ctx: Any, told: Any) -> None:
        await asyncio.sleep(_FORK_SECONDS)
        try:
            result = await handler.function(ctx, told)
        except Exception as error:  # noqa: BLE001 - travels to the parent
            if not answer.done():
                answer.set_exception(error)
        else:
            if not answer.done():
                answer.set_result(result)

    def kill_all(self) -> None:
        """The process's death takes them along."""
