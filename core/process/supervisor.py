"""A parent that keeps N equal children running: hands on signals, replaces who dies, reaps all. Does no other work."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from sluice.core.process.command_line import here
from sluice.core.process.leftovers import end_session
from sluice.core.process.pauses import Pauses
from sluice.core.process.signals import HURRY, STOP, on_stops
from sluice.core.telemetry.log import logger
from sluice.core.waiting import is_set, unless

if TYPE_CHECKING:
    from asyncio.subprocess import Process

REFUSED = 78
"""The exit status of a child whose code cannot be used: as 1, for a parent that can wait for other code."""
QUICK_SECONDS = 2.0
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 1.5
"""A child that died is replaced within two seconds, however often it dies."""


@contextmanager
def as_it_was() -> Iterator[None]:
    """Keep the directory and the environment in which children are to begin, whatever is imported within."""
    directory, environment = here(), dict(os.environ)  # environment: the children's
    try:
        yield
    finally:
        os.chdir(directory)
        os.environ.clear()  # environment: as above
        os.environ.update(environment)  # environment: as above


async def supervise(
    n: int,
    module: str,
    arguments: Sequence[str] = (),
    *,
    pass_fds: Sequence[int] = (),
    supervised: bool = False,
    check: Coroutine[None, None, None] | None = None,
) -> int:
    """Keep `n` times `python -P -m module --parent <our pid> arguments` until SIGTERM, SIGINT or SIGHUP.

    Hands the signals on, STOP and then HURRY, reaps the children and returns the worst of their exit statuses. They
    have sessions of their own, so that Ctrl-C reaches them through here alone, and by --parent they die with this
    process. `supervised`: this one has a parent as well, and a second STOP is no hurry. Returns 1 when all of them end
    at once at the start, each with status 1: they have said why. Call it on the main thread.

    `check` comes before the first child. What it raises would keep each of them from starting, however long they took
    to find it, and is raised here: a child that ends later was well once, and is replaced.
    """
    supervisor = Supervisor(n, module, arguments, pass_fds=pass_fds)
    told_twice = supervisor.begin_stop if supervised else None
    on_stops(asyncio.get_running_loop(), supervisor.stop, told_twice=told_twice)
    if check is not None:
        await unless(supervisor.stopping, check)
    async with asyncio.TaskGroup() as group:
        for _ in range(n):
            group.create_task(supervisor.keep())
    return supervisor.status


class Supervisor:
    """The children, and what is known of their endings."""

    def __init__(
        self, n: int, module: str, arguments: Sequence[str], *, pass_fds: Sequence[int] = ()
    ) -> None:
        self._n = n
        self.name = module.rpartition(".")[2]
        self._command = [sys.executable, "-P", "-m", module, "--parent", str(os.getpid()), *arguments]
        self._pass_fds = pass_fds
        self._alive: set[Process] = set()
        self.stopping = asyncio.Event()
        self.outdated = asyncio.Event()
        self._settled = False
        self._decided = asyncio.Event()
        self._refused = 0
        self.status = 0

    def stop(self) -> None:
        """Hand a signal on; the second one hurries them."""
        again, told = self.stopping.is_set(), self.outdated.is_set()
        self._end()
        if again or not told:
            self._tell(HURRY if again else STOP)

    def begin_stop(self) -> None:
        """Do the same unless it has begun."""
        if not self.stopping.is_set():
            self.stop()

    def outdate(self) -> None:
        """Have the children drain, once, because others are to take their place."""
        if not self.outdated.is_set() and not self.stopping.is_set():
            self.outdated.set()
            self._tell(STOP)

    async def keep(self) -> None:
        """Start a child, and another when it ends, until the stop or until all of them are refused."""
        pauses = Pauses(FIRST_PAUSE, LONGEST_PAUSE, quick=QUICK_SECONDS)
        while not self.stopping.is_set():
            began = asyncio.get_running_loop().time()
            status = await self.one()
            if self.stopping.is_set():
                return
            lasted = asyncio.get_running_loop().time() - began
            if lasted < QUICK_SECONDS and status in {1, REFUSED} and not await self._is_worth_another_try():
                return
            logger().warning(f"{self.name}.replaced", status=status)
            await is_set(self.stopping, pauses.after(lasted))

    async def one(self) -> int:
        """Start a child and wait for its end; its exit status, which counts as ours when the stop was asked for."""
        try:
            child = await asyncio.create_subprocess_exec(
                *self._command, start_new_session=True, pass_fds=self._pass_fds
            )
        except OSError as refused:  # such as by a limit of processes, which may pass
            logger().error(f"{self.name}.not_started", reason=str(refused))
            return 1
        self._alive.add(child)
        if self.stopping.is_set() or self.outdated.is_set():
            _send(child, STOP)
        well = asyncio.get_running_loop().call_later(QUICK_SECONDS, self._settle)
        try:
            status = await child.wait()
        finally:
            well.cancel()
            self._alive.discard(child)
        end_session(child.pid)
        if self.stopping.is_set():
            self.status = max(self.status, _as_exit_status(status))
        return status

    async def _is_worth_another_try(self) -> bool:
        """Wait, after a child that was refused, until one of the others has lasted or been refused as well.

        False when all of them were: each has said what is wrong, and asking again would not help.
        """
        self._refused += 1
        if self._refused == self._n and not self._settled:
            self.status = 1
            self._end()
        await is_set(self._decided, QUICK_SECONDS)
        self._refused -= 1
        return not self.stopping.is_set()

    def _settle(self) -> None:
        """One of them has lasted: whatever refuses a later one may pass."""
        self._settled = True
        self._decided.set()

    def _end(self) -> None:
        self.stopping.set()
        self._decided.set()

    def _tell(self, number: signal.Signals) -> None:
        for child in self._alive:
            _send(child, number)


def _send(child: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has ended, and nobody has heard of it yet
        child.send_signal(number)


def _as_exit_status(status: int) -> int:
    """What a child's status counts as: one that a signal found before it could listen had nothing to stop."""
    if status >= 0:
        return 1 if status == REFUSED else status
    return 0 if status in {-STOP, -HURRY} else 1
