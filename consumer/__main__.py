"""`python -m consumer`: the same options as `sluice consumer`."""

from __future__ import annotations

import argparse
import sys

from sluice.core.process import extras
from sluice.core.process.command_line import count, end_at_signals, queues


def main() -> int:
    """Parse the command line and consume."""
    parser = argparse.ArgumentParser(prog="python -m consumer", description="Run a consumer.")
    parser.add_argument("--queues", type=queues, help="comma-separated queues to serve (QUEUES)")
    parser.add_argument("--processes", type=count, help="run that many consumers as child processes")
    parser.add_argument(
        "--reload",
        action="store_true",
        help="drain and start anew when a .py file changes, here or beside the modules of HANDLERS",
    )
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    end_at_signals()
    if options.reload:
        from sluice.consumer import reload  # noqa: PLC0415 - few want it

        return reload.run(queues=options.queues, processes=options.processes)
    from sluice.consumer.main import run  # noqa: PLC0415 - a wrong option is told before anything heavy is imported

    return run(queues=options.queues, processes=options.processes, parent=options.parent)


if __name__ == "__main__":
    sys.exit(extras.run("sluice consumer", main))
