"""A process of the run, the API or a consumer: started, watched, and started again whenever it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.chaos.history import History
from tests.chaos.noted import HISTORIES, MEMBER
from tests.support import launching

ROOT = Path(__file__).parents[2]


class Member:
    """`name` is its place; each process in it is an incarnation with a number of its own: `consumer-1.3`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        history: History,
    ) -> None:
        self.name = name
        self.restart_after = 0.2
        self._command = command
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": str(ROOT),
            "LOG_FORMAT": "json",
            HISTORIES: str(directory),
            **environment,
        }
        self._directory = directory
        self._history = history
        self._process: launching.Process | None = None
        self._incarnation = 0
        self._leaving = False
        self.statuses: list[int] = []
        self.pids: dict[int, str] = {}
        """Of all its processes, each the leader of a session: which one it was."""

    @property
    def alive(self) -> bool:
        """Whether it runs now, paused or not."""
        return self._process is not None and self._process.returncode is None

    @property
    def incarnation(self) -> str:
        """What its process is called in the histories."""
        return f"{self.name}.{self._incarnation}"

    @property
    def pid(self) -> int | None:
        """Of its present process, which leads a session of its own."""
        return self._process.pid if self._process is not None and self.alive else None

    @property
    def log(self) -> Path:
        """Where the present process writes what it says."""
        return self._directory / f"log-{self.incarnation}.jsonl"

    def started(self) -> bool:
        """Whether its present process says that it works."""
        if not self.alive or not self.log.exists():
            return False
        said = self.log.read_text(errors="replace")
        return '"consumer.started"' in said or '"api.listening"' in said

    def send(self, number: signal.Signals) -> bool:
        """A signal to it alone; whether it was there to take it."""
        if self._process is None or self._process.returncode is not None:
            return False
        self._tell(number)
        self._process.send_signal(number)
        return True

    def send_to_group(self, number: signal.Signals) -> bool:
        """A signal to it and to every process that it started, as from a terminal or a supervisor of groups."""
        if self._process is None or self._process.returncode is not None:
            return False
        self._tell(number)
        os.killpg(self._process.pid, number)
        return True

    def _tell(self, number: signal.Signals) -> None:
        if number in {signal.SIGTERM, signal.SIGINT}:
            self._history.add("told", member=self.incarnation)

    async def keep(self) -> None:
        """Start it, and start it again however it ends, until it was told to leave."""
        while not self._leaving:
            await self._launch()
            assert self._process is not None
            status = await self._process.wait()
            self.statuses.append(status)
            self._history.add("exit", member=self.incarnation, status=status)
            if not self._leaving:
                await asyncio.sleep(self.restart_after)

    def leave(self) -> None:
        """SIGTERM, for good."""
        self._leaving = True
        self.send(signal.SIGTERM)

    def end(self) -> None:
        """SIGKILL, for good; whatever state it is in."""
        self._leaving = True
        self.send(signal.SIGKILL)

    async def _launch(self) -> None:
        self._incarnation += 1
        with self.log.open("ab") as log:
            self._process = await launching.start(
                *self._command,
                environment={**self._environment, MEMBER: self.incarnation},
                cwd=self._directory,
                stderr=log.fileno(),
            )
        self.pids[self._process.pid] = self.incarnation
        self._history.add("launch", member=self.incarnation, pid=self._process.pid)
