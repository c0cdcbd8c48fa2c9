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
from sluice.core.process.signals import HURRY, STOP, on_stops
from sluice.core.telemetry.log import logger

if TYPE_CHECKING:
    from asyncio.subprocess import Process

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
    look: Coroutine[None, None, None] | None = None,
) -> int:
    """Keep `n` times `python -P -m module --parent <our pid> arguments` until SIGTERM, SIGINT or SIGHUP.

    Hands the signals on, STOP and then HURRY, reaps the children and returns the worst of their exit statuses. They
    have sessions of their own, so that Ctrl-C reaches them through here alone, and by --parent they die with this
    process. Returns 1 when all of them end at once at the start, each with status 1: they have said why. Call it on
    the main thread.

    `look` comes before the first child. What it raises would keep each of them from starting, however long they took
    to find it, and is raised here: a child that ends later was well once, and is replaced.
    """
    command = [sys.executable, "-P", "-m", module, "--parent", str(os.getpid()), *arguments]
    family = Family(n, module.rpartition(".")[2], command, pass_fds)
    on_stops(asyncio.get_running_loop(), family.stop)
    if look is not None:
        await family.first(look)
    async with asyncio.TaskGroup() as group:
        for _ in range(n):
            group.create_task(family.keep())
    return family.status


class Family:
    """The children, and what is known of their endings."""

    def __init__(self, n: int, name: str, command: Sequence[str], pass_fds: Sequence[int]) -> None:
        self._n = n
        self._name = name
        self._command = command
        self._pass_fds = pass_fds
        self._alive: set[Process] = set()
        self._looking: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._settled = False
        self._decided = asyncio.Event()
        self._refused = 0
        self.status = 0

    def stop(self) -> None:
        """Hand a signal on; the second one hurries them."""
        number = HURRY if self._stopping.is_set() else STOP
        self._end()
        if self._looking is not None:
            self._looking.cancel()
        for child in self._alive:
            _send(child, number)

    async def first(self, look: Coroutine[None, None, None]) -> None:
        """Do `look` to its end, unless the stop comes first. Raises what it raises."""
        self._looking = asyncio.get_running_loop().create_task(look)  # owner: this method
        try:
            await self._looking
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise

    async def keep(self) -> None:
        """Start a child, and another when it ends, until the stop or until all of them are refused."""
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            status = await self._one()
            if self._stopping.is_set():
                self.status = max(self.status, _as_exit_status(status))
                return
            quick = asyncio.get_running_loop().time() - began < QUICK_SECONDS
            if quick and status == 1 and not await self._is_worth_another_try():
                return
            logger().warning(f"{self._name}.replaced", status=status)
            pause = min(pause * 2, LONGEST_PAUSE) if quick else FIRST_PAUSE
            await self._sleep(pause)

    async def _one(self) -> int:
        try:
            child = await asyncio.create_subprocess_exec(
                *self._command, start_new_session=True, pass_fds=self._pass_fds
            )
        except OSError as refused:  # such as by a limit of processes, which may pass
            logger().error(f"{self._name}.not_started", reason=str(refused))
            return 1
        self._alive.add(child)
        if self._stopping.is_set():
            _send(child, STOP)
        well = asyncio.get_running_loop().call_later(QUICK_SECONDS, self._settle)
        try:
            status = await child.wait()
        finally:
            well.cancel()
            self._alive.discard(child)
        end_session(child.pid)
        return status

    async def _is_worth_another_try(self) -> bool:
        """Wait, after a child that was refused, until one of the others has lasted or been refused as well.

        False when all of them were: each has said what is wrong, and asking again would not help.
        """
        self._refused += 1
        if self._refused == self._n and not self._settled:
            self.status = 1
            self._end()
        with suppress(TimeoutError):
            async with asyncio.timeout(QUICK_SECONDS):
                await self._decided.wait()
        self._refused -= 1
        return not self._stopping.is_set()

    def _settle(self) -> None:
        """One of them has lasted: whatever refuses a later one may pass."""
        self._settled = True
        self._decided.set()

    def _end(self) -> None:
        self._stopping.set()
        self._decided.set()

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


def _send(child: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has ended, and nobody has heard of it yet
        child.send_signal(number)


def _as_exit_status(status: int) -> int:
    """What a child's status counts as: one that a signal found before it could listen had nothing to stop."""
    if status >= 0:
        return status
    return 0 if status in {-STOP, -HURRY} else 1
