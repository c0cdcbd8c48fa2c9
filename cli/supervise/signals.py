"""What Ctrl-C, SIGTERM and a closed terminal do: stop; again, hurry; again or too late, by force. Waits for nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Protocol, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
HURRY = 3.0  # seconds between "hurry" and force, and between force and more of it


class Family(Protocol):
    """What is stopped."""

    def end(self, *, now: bool = False) -> None:
        """Ask everything to end, or end it."""


class Stopping:
    """While entered, the first signal cancels `work`, whose own clean-up is the orderly stop."""

    def __init__(self, work: asyncio.Task[None], family: Family, *, say: Callable[[str], None]) -> None:
        self._work = work
        self._family = family
        self._say = say
        self._signals = 0
        self.forced = False

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.remove_signal_handler(number)

    def _on_signal(self) -> None:
        self._signals += 1
        if self._signals == 1:
            self._say("stopping; once more ends running tasks at once, they will run again")
            self._work.cancel()
        elif self._signals == 2:
            self._say("stopping at once")
            self._family.end()
            asyncio.get_running_loop().call_later(HURRY, self._force)
        else:
            self._force()

    def _force(self) -> None:
        if not self._work.done():
            self.forced = True
            self._family.end(now=True)
            asyncio.get_running_loop().call_later(HURRY, self._force)
