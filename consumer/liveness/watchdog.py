"""The beat's thread: a loop and a connection of its own, so that a handler that blocks the main loop costs no lease.

It also ends a process that can no longer keep the rules (L3). Claims nothing, runs no handler.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Protocol

from sluice.consumer.periodic import Stopping, every
from sluice.core.events import LoopStalled

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from datetime import timedelta
    from random import Random

    from sluice.consumer.lease import Beat, Lease
    from sluice.core.clock import Clock
    from sluice.core.events import Report
    from sluice.core.task import ConsumerId, RunKey

STALL_REPORTED_SECONDS = 5.0
STALL_ENDS_AFTER_LEASES = 10


class Watch:
    """What the beat's thread sees of the main loop, and when that is reason to end the process."""

    def __init__(
        self,
        *,
        lease: Lease,
        runs: Callable[[], set[RunKey]],
        runs_of_others: Callable[[ConsumerId], set[RunKey]],
        end_process: Callable[[str], None],
        clock: Clock,
        report: Report,
    ) -> None:
        self._lease = lease
        self._runs = runs
        self._runs_of_others = runs_of_others
        self._end_process = end_process
        self._clock = clock
        self._report = report
        self._main_thread = threading.get_ident()
        self._ticked_at = clock()
        self._stall_reported = False
        self._distrusted_at: float | None = None
        self._condemned: set[RunKey] = set()

    def tick(self) -> None:
        """The main loop is alive; called on it."""
        self._ticked_at = self._clock()

    def look(self) -> None:
        """Both looks; called on the beat's thread."""
        self._look_at_loop()
        self._look_at_handlers()

    def _look_at_loop(self) -> None:
        """A loop that stands still is reported once with its stack, and ends the process after ten leases."""
        stalled = self._clock() - self._ticked_at
        if stalled < STALL_REPORTED_SECONDS:
            self._stall_reported = False
        elif not self._stall_reported:
            self._stall_reported = True
            self._report(LoopStalled(seconds=round(stalled, 1), stack=self._main_stack()))
        if stalled > STALL_ENDS_AFTER_LEASES * self._lease.duration:
            self._end_process("the event loop stood still for ten leases")

    def _look_at_handlers(self) -> None:
        """Handlers that are still there a margin after the trust ended end the process: others may run their tasks.

        After a sleep of the machine the beat may come first, and this look find a new id that is trusted already: the
        runs of the former one are condemned all the same.
        """
        trusted, late = self._lease.trusted, self._runs_of_others(self._lease.consumer)
        if trusted and not self._condemned and not late:
            self._distrusted_at = None
            return
        if self._distrusted_at is None:
            self._distrusted_at = self._clock()
            self._condemned = late if trusted else self._runs()
        self._condemned &= self._runs()
        if self._condemned and self._clock() - self._distrusted_at > self._lease.margin:
            self._end_process("handlers outlived the lease")

    def _main_stack(self) -> str:
        frame = sys._current_frames().get(self._main_thread)  # noqa: SLF001 - documented, for all its underscore
        return "".join(traceback.format_stack(frame, limit=12)) if frame is not None else ""


class Heartbeat:
    """The beat and the watch, for as long as they go on; on whatever loop `run` is called."""

    def __init__(
        self,
        *,
        open_beat: Callable[[], AbstractAsyncContextManager[Beat]],
        watch: Watch,
        look_every: timedelta,
        report: Report,
        random: Random,
    ) -> None:
        self._open_beat = open_beat
        self._watch = watch
        self._look_every = look_every
        self._report = report
        self._random = random
        self._stopping = Stopping()

    async def run(self) -> None:
        """Until `request_stop`; the beat in flight is awaited."""
        async with self._open_beat() as beat, asyncio.TaskGroup() as group:
            for name, step in (("beat", beat.step), ("watch", self._look)):
                group.create_task(
                    every(name, step, stopping=self._stopping, report=self._report, random=self._random),
                    name=name,
                )

    def request_stop(self) -> None:
        """Called on the loop that runs it."""
        self._stopping.request()

    async def _look(self) -> timedelta:
        self._watch.look()
        return self._look_every


class CarriesHeartbeat(Protocol):
    """What keeps a heartbeat going beside the main loop."""

    def start(self) -> None: ...
    async def stop(self) -> None: ...


class BeatThread:
    """A thread with a loop of its own for the heartbeat. A daemon: it never keeps a process from exiting."""

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)

    def start(self) -> None:
        """Begin to beat. The gate stays closed until the first beat has committed (L1)."""
        self._thread.start()

    async def stop(self) -> None:
        """Stop after the beat in flight; the last thing that a drain does."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._heartbeat.request_stop)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    def _run(self) -> None:
        """On a loop that no event loop policy of a handler's has a say in."""
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._life())

    async def _life(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._heartbeat.run()
