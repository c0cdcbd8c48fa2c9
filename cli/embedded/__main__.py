"""`python -m sluice.cli.embedded DIRECTORY`: the servers alone, for tests, benchmarks and scripts. Migrates nothing.

Once both serve it prints one line of JSON with `database_url`, `redis_url` and the servers' pids. It runs until
stdin, a pipe or a terminal, ends, or SIGTERM or Ctrl-C arrives; in whatever way it ends, the servers end too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from sluice.cli.embedded import Servers
from sluice.core.errors import SluiceError
from sluice.core.process.signals import on_stops


async def serve(root: Path, *, ephemeral: bool) -> None:
    """Run the servers until stdin ends or a signal arrives."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    on_stops(loop, stop.set)
    servers = Servers(root, ephemeral=ephemeral, say=_say)
    async with servers as urls:
        pids = {"postgres": servers.postgres.pid, "valkey": servers.valkey.pid}
        sys.stdout.write(json.dumps({**asdict(urls), "pids": pids}) + "\n")
        sys.stdout.flush()
        with suppress(PermissionError):  # stdin is a file, which never ends: signals alone stop us
            loop.add_reader(sys.stdin.fileno(), _read, stop)
        await stop.wait()
        loop.remove_reader(sys.stdin.fileno())


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _read(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        stop.set()


def main() -> int:
    """Exit status: 0 after a clean stop, 1 with a line that says what to do."""
    parser = argparse.ArgumentParser(prog="python -m sluice.cli.embedded", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--ephemeral", action="store_true", help="start on nothing and forget everything")
    options = parser.parse_args()
    try:
        asyncio.run(serve(options.directory, ephemeral=options.ephemeral))
    except SluiceError as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
