"""`--processes N`: a parent that keeps N consumers running as its children. Consumes nothing itself."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

from core.telemetry.log import logger

if TYPE_CHECKING:
    from asyncio.subprocess import Process

QUICK_SECONDS = 2.0
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 1.5
"""A child that died is replaced within two seconds, however often it dies."""


async def supervise(n: int, *, queues: str | None) -> int:
    """Keep `n` children until SIGTERM or SIGINT, hand the signals on, reap them; the worst of their exit statuses.

    The children have sessions of their own, so that Ctrl-C reaches them through here alone, and die with this
    process. Returns 1 when every child ends at once at the start: it has said why.
    """
    family = Family(queues)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, family.stop)
    async with asyncio.TaskGroup() as group:
        for _ in range(n):
            group.create_task(family.keep())
    return family.status


class Family:
    """The children, and what is known of their endings."""

    def __init__(self, queues: str | None) -> None:
        self._command = [sys.executable, "-P", "-m", "consumer", "--parent", str(os.getpid())]
        self._command += ["--queues", queues] if queues is not None else []
        self._alive: set[Process] = set()
        self._stopping = asyncio.Event()
        self._settled = False
        self.status = 0

    def stop(self) -> None:
        """Hand a signal on; the second one hurries them."""
        self._stopping.set()
        for child in self._alive:
            child.send_signal(signal.SIGTERM)

    async def keep(self) -> None:
        """Start a child, and another when it ends, until the stop."""
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            status = await self._one()
            if self._stopping.is_set():
                self.status = max(self.status, abs(status))
                return
            quick = asyncio.get_running_loop().time() - began < QUICK_SECONDS
            self._settled = self._settled or not quick
            if quick and status == 1 and not self._settled:
                self.status = 1  # it has said what is wrong, and asking again would not help
                return
            logger("sluice").warning("consumer.replaced", status=status)
            pause = min(pause * 2, LONGEST_PAUSE) if quick else FIRST_PAUSE
            await self._sleep(pause)

    async def _one(self) -> int:
        child = await asyncio.create_subprocess_exec(*self._command, start_new_session=True)
        self._alive.add(child)
        if self._stopping.is_set():
            child.send_signal(signal.SIGTERM)
        try:
            return await child.wait()
        finally:
            self._alive.discard(child)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
