"""CPU-bound handlers: a child process for each running call, killed on cancel and timeout (no pool can do that).

The children come from a fork server that has imported the handlers' modules once, so that a call costs a fork.
"""

from __future__ import annotations

import asyncio
import importlib
import multiprocessing
import os
import pickle
import signal
import sys
import traceback
from contextlib import suppress
from multiprocessing import forkserver
from typing import TYPE_CHECKING, Any

from consumer.control import Discard, Retry, Snooze
from consumer.result import encode
from core.errors import SluiceError
from core.mortal import die_with_parent
from core.outcome import Failure
from core.settings import LogSettings, load
from core.task import MAX_RESULT_BYTES
from core.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor
    from multiprocessing.connection import Connection

    from consumer.context import DetachedContext
    from consumer.registry import Handler
    from consumer.running import Run
    from core.task import JsonText


class ChildDied(SluiceError):
    """The child process ended without an answer: it fails its own task only."""


class Children:
    """Starts, awaits and kills the children of one consumer. `threads` does the blocking parts of starting one."""

    def __init__(self, threads: Executor, preload: Sequence[str]) -> None:
        self._threads = threads
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__, *preload])
        self._alive: set[Any] = set()

    async def call(
        self,
        run: Run,
        handler: Handler,
        ctx: DetachedContext,
        payload: Any,  # noqa: ANN401 - what the handler takes
    ) -> JsonText | None:
        """The handler's result, encoded there. A stop kills the child. Raises what the handler raised, or ChildDied."""
        ours, theirs = self._context.Pipe(duplex=False)
        function = handler.function
        process = self._context.Process(
            target=_child_main,
            args=(theirs, function.__module__, function.__qualname__, ctx, payload),
            daemon=True,
        )
        self._alive.add(process)
        try:
            await self._start(process)
            theirs.close()
            run.on_stop = lambda _: process.kill()
            if run.stopping:
                process.kill()
            return await self._answer(ours, process)
        finally:
            run.on_stop = None
            self._alive.discard(process)
            ours.close()
            if process.pid is not None:
                process.kill()
                process.join()
                process.close()

    async def _start(self, process: Any) -> None:  # noqa: ANN401 - a Process of some context
        """Fork it. A fork server that is dead is replaced first; one that dies meanwhile may have forked already."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, process.start)
        except (EOFError, ConnectionError) as error:
            raise ChildDied("the fork server died as it started the child process") from error

    async def _answer(self, ours: Connection, process: Any) -> JsonText | None:  # noqa: ANN401 - a Process of some context
        """Wait without a thread for the answer or the child's end: a process that it left may keep the pipe open.

        The answer is read on a thread: it may be larger than the pipe, and the child slow to write it.
        """
        loop = asyncio.get_running_loop()
        news = asyncio.Event()
        sources = (ours.fileno(), process.sentinel)
        for source in sources:
            loop.add_reader(source, news.set)
        try:
            await news.wait()
        finally:
            for source in sources:
                loop.remove_reader(source)
        try:
            if not ours.poll():
                raise EOFError
            message = await loop.run_in_executor(self._threads, ours.recv_bytes)
        except EOFError:
            process.join(1.0)
            raise ChildDied(f"the child process died: {_exit(process.exitcode)}") from None
        succeeded, value = pickle.loads(message)  # noqa: S301 - from our own child, over our own pipe
        if not succeeded:
            raise value
        result: JsonText | None = value
        return result

    def kill_all(self) -> None:
        """End every child at once: the consumer is about to exit."""
        for process in list(self._alive):
            if process.pid is not None:
                process.kill()


def _exit(code: int | None) -> str:
    if code is None:
        return "it does not end"
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def _child_main(theirs: Connection, module: str, qualname: str, ctx: DetachedContext, payload: Any) -> None:  # noqa: ANN401
    """The child's whole life: call the function once, answer, end."""
    die_with_parent(signal.SIGKILL)
    _let_fork_server_go()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the consumer decides when this child ends
    try:
        settings = load(LogSettings)  # a handler's ctx.log writes where the consumer's does, and as it does
        log.configure(settings.log_level, settings.log_format, keep=True)
        if os.getcwd() not in sys.path:  # noqa: PTH109 - sys.path holds strings
            sys.path.append(os.getcwd())  # noqa: PTH109
        function: Any = importlib.import_module(module)
        for name in qualname.split("."):
            function = getattr(function, name)
        message = pickle.dumps((True, encode(function(ctx, payload))))
    except BaseException as error:  # noqa: BLE001 - everything a handler raises travels to the parent
        message = _pickled_error(error)
    with suppress(BrokenPipeError):  # the consumer was killed: nobody waits for an answer, and we are next
        theirs.send_bytes(message)
    theirs.close()


def _let_fork_server_go() -> None:
    """Close our end of the pipe for which the fork server lives: it is to end with the consumer, and we with it.

    Each child inherits one, so that a computing child would keep the server, its parent, alive when the consumer was
    killed.
    """
    alive = getattr(forkserver._forkserver, "_forkserver_alive_fd", None)  # noqa: SLF001 - there is no public way
    if alive is not None:
        os.close(alive)


def _pickled_error(error: BaseException) -> bytes:
    """The exception as the parent can raise it: itself when it survives pickling, else one that means the same.

    Its traceback stays behind, so it travels as a note.
    """
    note = "in the child process:\n" + "".join(traceback.format_exception(error, limit=-20))[-6000:]
    with suppress(Exception):  # any class of the user's may refuse
        error.add_note(note)
        message = pickle.dumps((False, error))
        if len(message) <= MAX_RESULT_BYTES:
            pickle.loads(message)  # noqa: S301 - made two lines above
            return message
    other = _stand_in(error)
    other.add_note(note)
    return pickle.dumps((False, other))


def _stand_in(error: BaseException) -> Exception:
    """For an exception that cannot travel: one that says the same of the task, with the other's name and text."""
    failure = Failure.of(error)
    told = f"{failure.type}: {failure.message}"
    with suppress(BaseException):  # a class derived from ours may have left our constructor out
        if isinstance(error, Snooze):
            return Snooze(error.delay)
        if isinstance(error, Retry):
            return Retry(told, after=error.after)
    for ours in (Retry, Discard):
        if isinstance(error, ours):
            return ours(told)
    return RuntimeError(told)
