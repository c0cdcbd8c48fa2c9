"""What `python -m api` and `python -m consumer` share. Imports nothing heavy: a wrong option is told before that."""

from __future__ import annotations

import argparse
import signal
import sys


def count(text: str) -> int:
    """A number of processes. Raises ArgumentTypeError and ValueError, which argparse tells."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be 1 or more")
    return number


def end_at_signals() -> None:
    """Until the server or the consumer takes the signals: nothing is to be drained yet."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
