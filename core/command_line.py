"""What `python -m api` and `python -m consumer` share. Imports nothing heavy: a wrong option is told before that."""

from __future__ import annotations

import argparse
import signal

HIGHEST_PORT = 65535


class Ended(SystemExit):
    """A signal ended this process, not the code that it met."""


def count(text: str) -> int:
    """A number of processes. Raises ArgumentTypeError and ValueError, which argparse tells."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be 1 or more")
    return number


def port(text: str) -> int:
    """A port to listen on, 0 for any. Raises ArgumentTypeError and ValueError, which argparse tells."""
    number = int(text)
    if not 0 <= number <= HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"it must be 0 to {HIGHEST_PORT}")
    return number


def end_at_signals() -> None:
    """Until the server or the consumer takes the signals, they raise Ended: nothing is to be drained yet."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)


def _end(*_: object) -> None:
    raise Ended(0)
