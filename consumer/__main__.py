"""`python -m consumer`: the same options as `sluice consumer`."""

from __future__ import annotations

import argparse
import signal
import sys


def main() -> int:
    """Parse the command line and consume."""
    parser = argparse.ArgumentParser(prog="python -m consumer", description="Run a consumer.")
    parser.add_argument("--queues", help="comma-separated queues to serve (QUEUES)")
    parser.add_argument("--processes", type=_count, help="run that many consumers as child processes")
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
    ):  # until the consumer takes them: nothing is to be drained yet
        signal.signal(number, lambda *_: sys.exit(0))
    from consumer.main import run  # noqa: PLC0415 - a wrong option is told before anything heavy is imported

    return run(queues=options.queues, processes=options.processes, parent=options.parent)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
