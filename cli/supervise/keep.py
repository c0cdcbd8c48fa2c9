"""Starts a part again when it ends. Stops nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import NoReturn, Protocol

from sluice.core.clock import boottime
from sluice.core.errors import SluiceError
from sluice.core.process.pauses import Pauses

QUICK = 5.0  # seconds; a part that lived longer did work
TRIES = 3
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
TOLD = (1, 2)  # exit statuses of a program that has said what is wrong: asking again at once would not help
FIRST_PAUSE_TOLD = 1.0
LONGEST_PAUSE_TOLD = 30.0


class Part(Protocol):
    """What can be kept running."""

    name: str

    async def start(self) -> None:
        """Start it."""

    async def wait(self) -> int:
        """Its exit status, once it has ended."""

    def last_words(self) -> str:
        """What it said last."""


class GaveUp(SluiceError):
    """A part that cannot be kept running from the start."""

    def __init__(self, name: str, status: int, last_words: str) -> None:
        super().__init__(f"{name} {ending(status)}" + (f": {last_words}" if last_words else ""))
        self.name = name
        self.status = status


async def keep(part: Part, *, settled: Callable[[], bool], say: Callable[[str], None]) -> NoReturn:
    """Start `part`, which runs already, again each time it ends, after a pause that doubles up to 10 s.

    Until the whole is `settled`, raises GaveUp when it ends with a status that means a told mistake, or for the third
    time; afterwards never, and the pause after a told mistake doubles up to 30 s. Cancel it to stop keeping; the part
    runs on.
    """
    failures = 0
    ended = Pauses(FIRST_PAUSE, LONGEST_PAUSE, quick=QUICK)
    told = Pauses(FIRST_PAUSE_TOLD, LONGEST_PAUSE_TOLD, quick=QUICK)
    while True:
        began = boottime()
        status = await part.wait()
        failures += 1
        lasted = boottime() - began if settled() else 0.0
        if not settled() and (status in TOLD or failures >= TRIES):
            raise GaveUp(part.name, status, part.last_words())
        if status in TOLD:
            pause = told.after(lasted)
            say(f"{part.name} {ending(status)}: trying again in {pause:g} s")
        else:
            pause = ended.after(lasted)
            say(f"{part.name} {ending(status)}: starting it again")
        await asyncio.sleep(pause)
        await _start(part, say)


def ending(status: int) -> str:
    """How a process with this status ended, in words."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


async def _start(part: Part, say: Callable[[str], None]) -> None:
    pauses = Pauses(FIRST_PAUSE, LONGEST_PAUSE, quick=QUICK)
    while True:
        try:
            return await part.start()
        except (SluiceError, OSError) as refused:  # OSError: such as by a limit of processes, which may pass
            say(f"{refused}; trying again")
        await asyncio.sleep(pauses.after(0))
