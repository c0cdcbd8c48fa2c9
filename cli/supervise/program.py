"""A program of ours as a child whose output is shown. Knows neither its meaning nor its neighbours."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence

from sluice.cli.supervise.child import Child
from sluice.cli.supervise.keep import TOLD
from sluice.cli.supervise.output import Output
from sluice.core.process.leftovers import end_session


class Program:
    """`python -P -m <module> <arguments>`; SIGKILL takes it with us, since the servers that it needs go too."""

    def __init__(
        self, module: str, arguments: Sequence[str], *, environment: Mapping[str, str], output: Output
    ) -> None:
        self.name = module.rpartition(".")[2]
        self._command = (sys.executable, "-P", "-m", module, *arguments)
        self._environment = environment
        self._output = output
        self._child: Child | None = None
        self._told = ""

    @property
    def pid(self) -> int | None:
        """Its process, None while it does not run."""
        return self._child.pid if self._child is not None and self._child.alive else None

    async def start(self) -> None:
        """Start it, without waiting until it serves. What it said last when it could not serve is not shown again."""
        output = await self._output.open(self.name, known=self._told)
        try:
            self._child = await Child.start(self._command, environment=self._environment, output=output)
        finally:
            os.close(output)

    async def wait(self) -> int:
        """Its exit status, once it has ended and its last lines are shown."""
        if self._child is None:
            raise RuntimeError(f"{self.name} was never started")
        status = await self._child.wait()
        end_session(self._child.pid)
        await self._output.drain(self.name)
        self._told = self.last_words() if status in TOLD else ""
        return status

    async def stop(self, *, stop_timeout: float) -> None:
        """Ask it to end and wait; SIGKILL it after `stop_timeout` seconds."""
        if self._child is not None:
            await self._child.stop(stop_timeout=stop_timeout)
            end_session(self._child.pid)
            await self._output.drain(self.name)

    def end(self, *, now: bool = False) -> None:
        """Ask it to end, or (`now`) end it, without waiting."""
        if self._child is not None:
            self._child.send(signal.SIGKILL if now else signal.SIGTERM)

    def last_words(self) -> str:
        """The line it wrote last."""
        return self._output.last_line(self.name)
