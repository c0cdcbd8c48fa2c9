"""A PostgreSQL cluster that is made once a run and copied: initdb takes a second of a processor, a copy hardly any."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

from sluice.cli.embedded import Servers
from sluice.cli.embedded.place import POSTGRES_DATA


async def put_cluster(run_directory: Path, root: Path) -> None:
    """Leave in `root` the cluster of embedded servers that were started there and stopped."""
    template = run_directory / "cluster"
    with (run_directory / "cluster.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            template.mkdir()
            template.chmod(0o711)
            async with Servers(template, valkey=False):
                pass
    home = root / ".sluice"
    home.mkdir(mode=0o711)
    kept = [path for name in (POSTGRES_DATA, "programs") if (path := template / ".sluice" / name).exists()]
    if kept:  # else it lies where the servers' account can reach it, and nobody is spared anything
        subprocess.run(["cp", "-a", *kept, home], check=True)  # noqa: ASYNC221 - it takes no time
