"""What Ctrl-C, SIGTERM and a closed terminal do: stop; again, hurry; again or too late, by force. Waits for nothing."""

from __future__ import annotations

import asyncio
from typing import Protocol, Self

from sluice.cli.supervise.output import Output
from sluice.core.process.signals import on_stops, stops

AGAIN = 0.5  # seconds; two signals within a moment may reach a busy program as one
HURRY = 5.0  # seconds between "hurry" and force, and between force and more of it


class Programs(Protocol):
    """What is stopped."""

    output: Output
    stopping: bool

    def end(self, *, now: bool = False) -> None:
        """Ask everything to end, or end it."""


class Stopping:
    """While entered, the first signal cancels the task that entered it, whose own clean-up is the orderly stop."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._task: asyncio.Task[object] | None = None
        self._hurry: asyncio.TimerHandle | None = None
        self.asked = False
        self.forced = False

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        on_stops(asyncio.get_running_loop(), self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in stops():
            loop.remove_signal_handler(number)
        if self._hurry is not None:
            self._hurry.cancel()

    def _on_signal(self) -> None:
        if self._task is not None and not self._programs.stopping and not self.asked:
            self._programs.output.say("stopping; a second Ctrl-C does not wait for running tasks")
            self.asked = True
            self._task.cancel()
        elif self._hurry is None:
            self._programs.output.say("stopping without waiting; what was running will run again")
            self._programs.end()
            loop = asyncio.get_running_loop()
            loop.call_later(AGAIN, self._programs.end)
            self._hurry = loop.call_later(HURRY, self._force)
        else:
            self._force()

    def _force(self) -> None:
        self.forced = True
        self._programs.end(now=True)
        if self._hurry is not None:
            self._hurry.cancel()
        self._hurry = asyncio.get_running_loop().call_later(HURRY, self._force)
