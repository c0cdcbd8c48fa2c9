"""The only call of user code. Returns an Outcome and never raises for a handler's sake; touches no store.

What stops a run comes through `run.stop`: a coroutine is canceled, a child process killed, a thread told so. A thread
that goes on, and a coroutine that swallows its cancellation, are left behind: the row need not wait for them.
"""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from sluice.consumer.handlers.context import DetachedContext
from sluice.consumer.handlers.exceptions import Discard, Retry, Snooze
from sluice.consumer.handlers.registry import LOOP, THREAD
from sluice.consumer.handlers.result import UnstorableResult, encode
from sluice.consumer.handlers.tracebacks import of_handler
from sluice.consumer.runs.cpu.child import ChildDied
from sluice.consumer.runs.running import Run, Stop
from sluice.consumer.runs.timeouts import Timeouts
from sluice.core.outcome import Canceled, Failed, Failure, Interrupted, Outcome, Snoozed, Succeeded, TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from contextvars import Context as Variables

    from sluice.consumer.handlers.context import Context
    from sluice.consumer.handlers.registry import Handler
    from sluice.consumer.runs.cpu.children import Children

GRACE_SECONDS = 1.0
"""How long a canceled coroutine may tidy up before its row is written without it."""


class Execute:
    """Calls handlers where their mode says."""

    def __init__(self, *, threads: Executor, children: Children) -> None:
        self._threads = threads
        self._children = children
        self._timeouts = Timeouts()

    async def __call__(
        self,
        run: Run,
        handler: Handler,
        ctx: Context,
        leave: Callable[[Run, Outcome], None],
    ) -> Outcome:
        """Run the handler to its end, its timeout or its stop.

        The run is vacated once it is out of the way: mostly before this returns, for a thread that was left behind when
        that ends. `leave` is called with the outcome of a coroutine that goes on after its stop; this returns when that
        ends, and what it returns then is of no use.
        """
        self._timeouts.begin(run)
        left_behind = False
        try:
            payload = handler.decode(run.claim.payload)
            if handler.mode is LOOP:
                result = encode(await self._on_loop(run, handler.function(ctx, payload), leave))
            elif handler.mode is THREAD:
                variables = copy_context()
                work = self._threads.submit(variables.run, handler.function, ctx, payload)
                left_behind = await _in_thread(run, work)
                returned = None if left_behind else work.result()
                if inspect.isawaitable(returned):  # a plain function around an `async def`
                    _take(variables)
                    returned = await self._on_loop(run, returned, leave)
                result = encode(returned)
            else:
                result = await self._children.call(run, handler, DetachedContext.of(ctx), payload)
            outcome: Outcome = Succeeded(result)
        except BaseException as error:  # noqa: BLE001 - SystemExit in a handler is the handler's failure, not our end
            if self._timeouts.over(run):
                run.stop(Stop.TIMED_OUT)  # such as by the server, which ends its statements a second later
            outcome = _failed(error)
        finally:
            self._timeouts.end(run)
            run.on_stop = None
            if not left_behind:
                run.vacate()
        if run.stop_reason is None or run.left_behind:
            return outcome
        return _stopped(run, run.stop_reason)

    async def _on_loop(self, run: Run, handler: Any, leave: Callable[[Run, Outcome], None]) -> Any:  # noqa: ANN401 - any awaitable and what it returns
        """Await the handler in this task; a stop cancels the task, and the cancellation ends here."""
        task = run.task
        if task is None:
            raise AssertionError("a run starts in its own task")
        run.on_stop = partial(self._cancel, run, leave)
        if run.stopping:
            _close(handler)
            return None
        try:
            return await handler
        finally:
            run.on_stop = None
            if task.cancelling():
                await _absorb(task)

    def _cancel(self, run: Run, leave: Callable[[Run, Outcome], None], reason: Stop) -> None:
        """Cancel the handler; one that goes on is left behind, unless its row must wait for it (see `_in_thread`)."""
        if run.task is None:
            raise AssertionError("a run starts in its own task")
        run.task.cancel(reason)  # it becomes the message of the handler's CancelledError
        if reason in {Stop.TIMED_OUT, Stop.CANCELED}:
            self._timeouts.grant(run, GRACE_SECONDS, lambda late: leave(late, _stopped(late, reason)))


def _stopped(run: Run, reason: Stop) -> Outcome:
    """Whatever a stopped handler returned or raised, the reason of its stop is the outcome."""
    match reason:
        case Stop.TIMED_OUT:
            return TimedOut(timedelta(seconds=run.claim.timeout))
        case Stop.CANCELED:
            return Canceled()
        case Stop.DRAIN | Stop.LEASE:
            return Interrupted()


def _failed(error: BaseException) -> Outcome:
    """Return what an exception says. Those by which a handler speaks need no traceback."""
    if isinstance(error, Snooze) and (delay := _duration(error, "delay")) is not None:
        return Snoozed(delay)
    expected = isinstance(error, Retry | Discard | ChildDied | UnstorableResult)
    return Failed(
        Failure.of(error),
        _duration(error, "after") if isinstance(error, Retry) else None,
        final=isinstance(error, Discard | UnstorableResult),
        traceback=None if expected else of_handler(error),
    )


def _duration(error: BaseException, name: str) -> timedelta | None:
    """What the exception says, if it does: a class derived from ours may have left our constructor out."""
    try:
        found = getattr(error, name)
    except BaseException:  # noqa: BLE001 - a property of the user's may raise anything
        return None
    return found if isinstance(found, timedelta) and found >= timedelta() else None


async def _absorb(task: asyncio.Task[None]) -> None:
    """Take in a cancellation that was asked for but perhaps not delivered yet, so that it hits nothing after this."""
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
    while task.cancelling():
        task.uncancel()


async def _in_thread(run: Run, work: Future[Any]) -> bool:
    """Wait until the thread returns, or the run's row can be written without it; then True, and it is vacated later.

    A thread cannot be killed. When its time is over or its row is canceled, the row need not wait for it. When the
    consumer drains or distrusts its lease it must: a row given back now would start elsewhere beside the thread.
    """
    loop = asyncio.get_running_loop()
    news = asyncio.Event()
    work.add_done_callback(lambda _: _tell(loop, news.set))
    run.on_stop = lambda _: news.set()
    while not work.done():
        news.clear()
        if run.stopping and work.cancel():
            break  # it had not begun: there may be more slots than threads
        if run.stop_reason in {Stop.TIMED_OUT, Stop.CANCELED}:
            work.add_done_callback(lambda _: _tell(loop, run.vacate))
            work.add_done_callback(_drop)
            return True
        if not work.done():
            await news.wait()
    return False


def _drop(work: Future[Any]) -> None:
    """Close what a thread returned too late, so that Python does not complain of what was never awaited."""
    if not work.cancelled() and work.exception() is None:
        _close(work.result())


def _close(awaitable: object) -> None:
    """Nobody will await it."""
    if inspect.iscoroutine(awaitable):
        awaitable.close()


def _take(variables: Variables) -> None:
    """Set here what a thread has set in its copy of this task's context variables."""
    for variable, value in variables.items():
        variable.set(value)


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    """Call `what` on the loop, from any thread; a loop that has ended needs no news."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(what)
