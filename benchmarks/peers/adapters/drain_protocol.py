"""What every adapter shares: how it is told what to do, the payload, and the count of who ran. Imports no queue.

An adapter is run by its own interpreter as `adapter.py fill` (make the schema, submit TASKS tasks, end) or
`adapter.py work` (one worker process until SIGTERM). It finds DATABASE_URL, REDIS_URL and TASKS in the environment,
and its last line on stdout is JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

TASKS = int(os.environ["TASKS"])
DATABASE_URL = os.environ["DATABASE_URL"]
REDIS_URL = os.environ["REDIS_URL"]
CONCURRENCY = 100
FIRST = 1_000_000
"""Tasks are numbered from here, so that each number has seven digits and each payload 200 bytes."""
_RAN = array("H", bytes(2 * TASKS))


def tuned(name: str, best: str) -> str:
    """A setting that was tuned: `best`, unless the environment names another, so that a try can be made again."""
    return os.environ.get(f"TRY_{name}", best)


def payload(number: int) -> dict[str, Any]:
    """What task `number` carries, 0 to TASKS - 1: 200 bytes as compact JSON."""
    return {
        "number": FIRST + number,
        "items": [{"sku": "A-100", "n": 3}, {"sku": "B-200", "n": 1}],
        "note": "x" * 118,
    }


def encoded(number: int) -> bytes:
    """The payload as compact JSON; its number are the digits at [10:17]."""
    return json.dumps(payload(number), separators=(",", ":")).encode()


def ran(number: int) -> None:
    """All that a handler does: note that the task which carries `number` has run."""
    _RAN[number - FIRST] += 1


def report() -> None:
    """Print how many tasks ran, how many never did, and how many runs were one too many."""
    times = Counter(_RAN)
    total = sum(_RAN)
    sys.stdout.write(
        json.dumps({"ran": total, "lost": times[0], "repeated": total - (TASKS - times[0])}) + "\n"
    )
    sys.stdout.flush()


def stopped_by_signal() -> threading.Event:
    """Set by SIGTERM; for workers that run on threads while the main thread waits."""
    event = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: event.set())
    return event


def stopped_in_loop() -> asyncio.Event:
    """The same for workers that run on the current loop."""
    event = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, event.set)
    return event


def chunks(numbers: range, size: int) -> Iterator[range]:
    """`numbers` in slices of `size`."""
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]


def main(*, fill: Callable[[], T], work: Callable[[], T]) -> None:
    """Do what the command line says; after work, report."""
    duty = sys.argv[1]
    {"fill": fill, "work": work}[duty]()
    if duty == "work":
        report()
    else:
        sys.stdout.write(json.dumps({"submitted": TASKS}) + "\n")
