"""What the commands share that run a part. Imports nothing heavy: a wrong option is told before that."""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path

from sluice.core import names
from sluice.core.errors import ConfigurationError
from sluice.core.process.signals import stops

HIGHEST_PORT = 65535
MOST_PROCESSES = 256


def count(text: str) -> int:
    """A number of processes. Raises ArgumentTypeError and ValueError, which argparse tells."""
    number = int(text)
    if not 1 <= number <= MOST_PROCESSES:
        raise argparse.ArgumentTypeError(f"it must be 1 to {MOST_PROCESSES}")
    return number


def port(text: str) -> int:
    """A port to listen on, 0 for any. Raises ArgumentTypeError and ValueError, which argparse tells."""
    number = int(text)
    if not 0 <= number <= HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"it must be 0 to {HIGHEST_PORT}")
    return number


def queues(text: str) -> str:
    """Names of queues, as they were written. Raises ArgumentTypeError, which argparse tells."""
    try:
        names.queues(names.split(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def here() -> Path:
    """Return the current directory. Raises ConfigurationError when it is gone."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise ConfigurationError("the current directory was removed: start in one that is there") from None


def end_at_signals() -> None:
    """Until the server or the consumer takes the signals, they end the process: nothing is to be drained yet."""
    for number in stops():
        signal.signal(number, _end)


def _end(*_: object) -> None:
    """At once: an exception would be a mistake of the code that it meets, such as of a class that is being made."""
    os._exit(0)
