"""`python -m api`: the same options as `sluice api`."""

from __future__ import annotations

import argparse
import sys

from sluice.core.process import extras
from sluice.core.process.command_line import count, end_at_signals, port


def main() -> int:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m api", description="Run the API.")
    parser.add_argument("--host", help="address to listen on (API_HOST)")
    parser.add_argument("--port", type=port, help="port to listen on (API_PORT)")
    parser.add_argument("--workers", type=count, help="run that many processes")
    parser.add_argument("--with-consumer", action="store_true", help="run a consumer inside each process")
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--listener", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    end_at_signals()
    from sluice.api import server  # noqa: PLC0415 - a wrong option is told before anything heavy is imported

    if options.parent is not None:
        return server.run_worker(
            parent=options.parent, listener=options.listener, with_consumer=options.with_consumer
        )
    return server.run(
        host=options.host, port=options.port, workers=options.workers, with_consumer=options.with_consumer
    )


if __name__ == "__main__":
    sys.exit(extras.run("sluice api", main))
