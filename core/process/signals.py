"""The signals that ask a process of ours to stop, and what is done at them. Stops nothing itself."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
GROUP = (*STOPS, signal.SIGQUIT)
"""What a terminal, a shell or a service manager sends to every process of a group."""
STOP = signal.SIGTERM
HURRY = signal.SIGINT
"""What a parent sends its children, first and then. They take STOP from others as well: see `on_stops`."""


def stops() -> tuple[signal.Signals, ...]:
    """Those that ask this process to stop: a closed terminal's as well, unless it was started to outlive that."""
    outlives = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # as `nohup` has it
    return tuple(number for number in STOPS if number != signal.SIGHUP or not outlives)


def on_stops(
    loop: AbstractEventLoop, act: Callable[[], None], *, told_twice: Callable[[], None] | None = None
) -> None:
    """From now on these signals do `act` on the loop, and nothing else: none of them ends the process.

    `told_twice` is done at STOP instead. It is for a child whose parent hands signals on: a service manager that
    signals every process has told the child before the parent does, and nobody has asked for any hurry.
    """
    for number in stops():
        loop.add_signal_handler(number, told_twice if told_twice and number == STOP else act)
