"""A seeded asyncio event loop with a virtual clock: the same seed takes the same steps, in no time.

Each callback belongs to a host (one thread of one simulated process), which may be paused or dead. Within a host
callbacks keep their order, as asyncio promises; among hosts, and among timers due at one instant, the seed decides.
Refuses real input and output and real threads: AbstractEventLoop raises NotImplementedError for each of them.
"""

from __future__ import annotations

import asyncio
import heapq
import sys
from asyncio import events
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context
from random import Random
from typing import Any, TypeVar, TypeVarTuple, Unpack, cast

from tests.simulation.hosts import Host, SimTask, current_host, here

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_CLOSINGS = 1000


class Stuck(Exception):
    """Nothing is left to do although something is waited for, or the steps do not end."""


class SimLoop(asyncio.AbstractEventLoop):
    """Only what asyncio's own tools ask for. `faulted` is told of errors that nobody caught."""

    def __init__(self, random: Random, *, max_steps: int, faulted: Callable[[str], None]) -> None:
        self._random = random
        self._faulted = faulted
        self._now = 0.0
        self._world = Host("world")
        self._hosts: list[Host] = [self._world]
        self._timers: list[tuple[float, float, int, asyncio.TimerHandle]] = []
        self._numbers = 0
        self._tasks: list[SimTask] = []
        self._sweep_at = 1000
        self._max_steps = max_steps
        self._over = False
        self.steps = 0

    def host(self, name: str, loop_host: Host | None = None) -> Host:
        """A new host."""
        host = Host(name, loop_host)
        self._hosts.append(host)
        return host

    def context(self, host: Host) -> Context:
        """A context in which what is begun runs on `host`."""
        context = copy_context()
        context.run(current_host.set, host)
        return context

    def spawn(self, host: Host, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin a task on `host`."""
        return self.create_task(coro, context=self.context(host))

    def start(self, host: Host, coro: Coroutine[Any, Any, Any]) -> None:
        """Begin a task on `host` that nobody waits for; the loop keeps it."""
        _ = self.create_task(coro, context=self.context(host))

    def run_until_complete(self, future: Any) -> Any:
        """Step until this coroutine has ended; its result. Raises Stuck."""
        main = self.create_task(future)
        with self._running():
            while not main.done():
                self._step()
        return main.result()

    def close(self) -> None:
        """End every coroutine that is left, while nothing of it can have an effect any more."""
        self._over = True
        for host in self._hosts:
            host.die()
        self._timers.clear()
        with self._running():
            for task in self._tasks:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined] # left pending on purpose
                    _close(task.coroutine)
        self._tasks.clear()

    # What asyncio's tools call.

    def time(self) -> float:
        return self._now

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **options: Any) -> SimTask:
        self._numbers += 1
        task = SimTask(self._numbers, coro, loop=self, **options)
        self._tasks.append(task)  # what a dead host leaves must not be collected, nor closed, before the end
        if len(self._tasks) > self._sweep_at:
            self._tasks = [task for task in self._tasks if not task.done()]
            self._sweep_at = 2 * len(self._tasks) + 1000
        return task

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._make_ready(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        host = here() or self._world
        return self.call_soon(callback, *args, context=context or self.context(host.loop_host))

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._numbers += 1
        heapq.heappush(self._timers, (when, self._random.random(), self._numbers, handle))
        return handle

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return self._over

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        host = here()
        if not self._over and (host is None or not host.dead):
            error = context.get("exception")
            self._faulted(f"{context.get('message')}: {error!r}")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when its time comes."""

    # The steps.

    def _make_ready(self, handle: asyncio.Handle) -> None:
        host: Host = handle._context.get(current_host) or self._world  # type: ignore[attr-defined] # where Handle keeps it
        if not host.dead:
            host.ready.append(handle)

    def _step(self) -> None:
        """One callback, or a jump to the next timer."""
        self.steps += 1
        if self.steps > self._max_steps:
            raise Stuck(f"no end after {self.steps} steps, at {self._now:.3f} s")
        able = [host for host in self._hosts if host.ready and not host.pauses]
        if not able:
            self._jump()
            return
        host = able[0] if len(able) == 1 else able[int(self._random.random() * len(able))]
        handle = host.ready.popleft()
        if not handle._cancelled:  # as BaseEventLoop looks at it
            handle._run()

    def _jump(self) -> None:
        """To the next instant at which a timer is due, and all that are due then."""
        if not self._timers:
            raise Stuck(f"nothing is left to wait for, at {self._now:.3f} s")
        self._now = max(self._now, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self._now:
            handle = heapq.heappop(self._timers)[3]
            if not handle.cancelled():
                self._make_ready(handle)
        self._hosts = [host for host in self._hosts if not host.dead]

    @contextmanager
    def _running(self) -> Any:
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=None, finalizer=self._finalize)
        events._set_running_loop(self)
        try:
            yield
        finally:
            events._set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)

    def _finalize(self, generator: AsyncGenerator[Any, Any]) -> None:
        """One that was left in the middle, as BaseEventLoop closes it."""
        if self._over:
            _close(generator.aclose())
        else:
            self.start(here() or self._world, generator.aclose())


def make_loop(random: Random, *, max_steps: int, faulted: Callable[[str], None]) -> SimLoop:
    """A SimLoop. What it leaves out is abstract for type checkers, and raises NotImplementedError when it is called."""
    loop: SimLoop = cast(Any, SimLoop)(random, max_steps=max_steps, faulted=faulted)
    return loop


def _close(coro: Coroutine[Any, Any, Any]) -> None:
    """Close it, however often it awaits something on the way out."""
    for _ in range(_CLOSINGS):
        with suppress(BaseException):
            coro.close()
            return
