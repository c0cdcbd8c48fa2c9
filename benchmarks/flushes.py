"""How long 8 KiB that are due at even instants wait until the disk has them, beside a measurement. Runs nothing else.

Usage: python -m benchmarks.flushes DIRECTORY SECONDS. Prints a line of JSON. As with commits, whatever is due when a
flush begins shares it, and a latency counts from the instant at which it was due: a stall is felt by all who were due
in it. It is the least that a task can wait whose INSERT must be on disk.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle

_PAGE = b"\x55" * 8192
_PAGES = 2000
PAUSE = 0.02
"""Seconds between two that are due: rare enough to leave the disk to what is measured."""


def waited(flush: Callable[[], object], seconds: float, pause: float = PAUSE) -> Iterator[float]:
    """Milliseconds for each that is due within `seconds`."""
    begin = time.monotonic()
    due, number = begin, 0
    while due < begin + seconds:
        time.sleep(max(0.0, due - time.monotonic()))
        sharing = []
        while due <= time.monotonic():
            sharing.append(due)
            number += 1
            due = begin + number * pause
        flush()
        done = time.monotonic()
        yield from (1000 * (done - each) for each in sharing)


def main(directory: str, seconds: float) -> list[float]:
    """On a file of its own, whose pages exist already, as those of a recycled log do."""
    with tempfile.TemporaryFile(dir=directory) as file:
        descriptor = file.fileno()
        os.write(descriptor, _PAGE * _PAGES)
        os.fsync(descriptor)
        offsets = cycle(range(0, _PAGES * len(_PAGE), len(_PAGE)))

        def flush() -> None:
            os.pwrite(descriptor, _PAGE, next(offsets))
            os.fdatasync(descriptor)

        return list(waited(flush, seconds))


if __name__ == "__main__":
    print(json.dumps({"waited_ms": [round(ms, 3) for ms in main(sys.argv[1], float(sys.argv[2]))]}))
