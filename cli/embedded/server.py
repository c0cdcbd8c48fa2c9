"""What both embedded servers share: one child, its log file, waiting until it serves. Speaks no protocol."""

from __future__ import annotations

import asyncio
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from sluice.cli.embedded.leftovers import POLL, Say
from sluice.cli.embedded.place import Place
from sluice.cli.supervise.child import Child
from sluice.core.clock import boottime
from sluice.core.errors import ConfigurationError

# Whatever PG* or LD_* a shell has set is not meant for these servers.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
LOG_LIMIT = 16 << 20
FIRST_WORD = 3.0  # seconds of silence before the user is told what is going on
NEXT_WORD = 15.0


class Server(ABC):
    """A server in the foreground as our child. `start` after `stop` or `kill` serves the same data again."""

    name: str
    death_signal: signal.Signals
    waiting_for: str

    def __init__(self, place: Place, *, base: Path, say: Say) -> None:
        self._place = place
        self._say = say
        self._child: Child | None = None
        logs = base / "logs"
        logs.mkdir(mode=0o700, exist_ok=True)
        self.log = logs / f"{self.name.lower()}.log"

    @property
    def pid(self) -> int | None:
        """The server's process, None while it does not run."""
        return self._child.pid if self._child is not None and self._child.alive else None

    async def start(self) -> None:
        """Start it and wait until it serves, however long recovery takes. ConfigurationError when it ends instead."""
        if self.pid is None:
            command = await self._prepare()
            try:
                self._child = await self._spawn(command, self.death_signal)
                await self._until_ready(self._child)
            except asyncio.CancelledError:
                await self.stop(now=True)
                raise

    async def stop(self, *, now: bool = False) -> None:
        """Stop it and wait for it: cleanly, or (`now`) without its shutdown work, which the next start makes up for."""
        if self._child is not None:
            self.end(now=now)
            await self._child.wait()

    async def kill(self) -> None:
        """SIGKILL it and wait for it: a crash."""
        if self._child is not None:
            await self._child.stop(signal.SIGKILL)

    async def restart(self, *, now: bool = False) -> None:
        """Stop it, start it."""
        await self.stop(now=now)
        await self.start()

    async def wait(self) -> int:
        """Its exit status, once it has ended."""
        if self._child is None:
            raise RuntimeError(f"{self.name} was never started")
        return await self._child.wait()

    def end(self, *, now: bool = False) -> None:
        """Ask it to stop, without waiting."""
        if self._child is not None:
            self._child.send(self._stop_signal(now=now))

    def last_words(self) -> str:
        """The log's last line that tells of trouble, or its last line at all."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-50:]
        except FileNotFoundError:
            return ""
        alarming = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "ERROR", "# "))]
        return next(reversed(alarming or lines), "").strip()

    @abstractmethod
    async def _prepare(self) -> Sequence[str]:
        """Make the data ready for a start; the command to run."""

    @abstractmethod
    async def _ready(self, pid: int) -> bool:
        """Whether it serves, cheaply."""

    @abstractmethod
    def _stop_signal(self, *, now: bool) -> signal.Signals:
        """The signal that stops it."""

    async def _spawn(
        self, command: Sequence[str], death_signal: signal.Signals, stdin: int | None = None
    ) -> Child:
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        output = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            return await Child.start(
                command,
                environment=ENVIRONMENT,
                account=self._place.account,
                death_signal=death_signal,
                stdin=asyncio.subprocess.DEVNULL if stdin is None else stdin,
                output=output,
            )
        finally:
            os.close(output)

    async def _until_ready(self, child: Child) -> None:
        began = boottime()
        tell = began + FIRST_WORD
        while not await self._ready(child.pid):
            if not child.alive:
                raise ConfigurationError(
                    f"{self.name} does not start: {self.last_words()} (all of it in {self.log})"
                )
            if boottime() >= tell:
                self._say(
                    f"{self.name} {self.waiting_for} ({boottime() - began:.0f} s so far; see {self.log})"
                )
                tell += NEXT_WORD
            await asyncio.sleep(POLL)
