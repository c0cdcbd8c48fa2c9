"""The embedded PostgreSQL: cluster made once, settings on the command line, Unix socket only. Knows no table."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from sluice.cli.embedded import files, leftovers
from sluice.cli.embedded.binaries import POSTGRESQL, find
from sluice.cli.embedded.leftovers import Say
from sluice.cli.embedded.place import POSTGRES_DATA, Place
from sluice.cli.embedded.server import Server
from sluice.core.errors import ConfigurationError

DATABASE = "sluice"
USER = "postgres"
SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "checkpoint_timeout": "15min",
    "max_wal_size": "2GB",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}
STOPPING = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))
CLUSTER_STOPS_WITHIN = 10.0  # seconds
ORPHANS = "still in use"  # PostgreSQL's word for backends of a killed postmaster, which end by themselves
ORPHAN_TRIES = 40
ORPHAN_PAUSE = 0.25


class Postgres(Server):
    """PostgreSQL 18 in `<base>/pg18`, trusting whoever may reach its private socket."""

    name = "PostgreSQL"
    death_signal = signal.SIGINT
    waiting_for = "is recovering what the last run left unwritten"

    def __init__(self, place: Place, *, base: Path, settings: Mapping[str, str], say: Say) -> None:
        super().__init__(place, base=base, say=say)
        self._settings = {**SETTINGS, "unix_socket_directories": str(place.sockets), **settings}
        self._data = base / POSTGRES_DATA
        self._pid_file = self._data / "postmaster.pid"
        self.url = f"postgresql://{USER}@/{DATABASE}?host={place.sockets}&port={SETTINGS['port']}"

    async def start(self) -> None:
        """As `Server.start`; also waits for what a killed postmaster's backends still hold."""
        for _ in range(ORPHAN_TRIES):
            try:
                return await super().start()
            except ConfigurationError:
                if ORPHANS not in self.last_words():
                    raise
            await asyncio.sleep(ORPHAN_PAUSE)
        return await super().start()

    def _stop_signal(self, *, now: bool) -> signal.Signals:
        return signal.SIGQUIT if now else signal.SIGINT

    async def _prepare(self) -> Sequence[str]:
        await leftovers.evict(self.name, self._pid_file, f"-D {self._data} ", STOPPING, self._say)
        program = find(POSTGRESQL, self._place.account, self._place.data / "programs")
        if not (self._data / "PG_VERSION").exists():
            await self._make_cluster(program)
        await self._mend_pid_file()
        settings = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        return [str(program), "-D", str(self._data), *settings]

    async def _ready(self, pid: int) -> bool:
        """The eighth line of postmaster.pid holds the state, as pg_ctl reads it."""
        try:
            lines = self._pid_file.read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    async def _make_cluster(self, program: Path) -> None:
        """Make it beside the final place, then a rename: a start that is cut short leaves nothing half made."""
        part = self._data.with_name(f"{self._data.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        self._place.give(part)
        await self._run(
            *(str(program.with_name("initdb")), "-D", str(part), f"--username={USER}", "--auth=trust"),
            *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        )
        await self._run(
            *(str(program), "--single", "-D", str(part), "template1"), feed=f'CREATE DATABASE "{DATABASE}"\n'
        )
        part.rename(self._data)

    async def _run(self, *command: str, feed: str = "") -> None:
        with tempfile.TemporaryFile() as stdin:
            stdin.write(feed.encode())
            stdin.seek(0)
            child = await self._spawn(command, signal.SIGKILL, stdin.fileno())
        try:
            status = await child.wait()
        except asyncio.CancelledError:
            # It waits for its own children and tidies up; killed, it would leave them writing.
            await child.stop(signal.SIGTERM, stop_timeout=CLUSTER_STOPS_WITHIN)
            raise
        if status:
            raise ConfigurationError(
                f"{self.name}'s data cannot be made: {Path(command[0]).name} says {self.last_words()!r} "
                f"(all of it in {self.log})"
            )

    async def _mend_pid_file(self) -> None:
        """Let a pid file that names a stranger name us instead, and remove one that names nobody.

        PostgreSQL refuses to start when the pid of a crashed run has gone to any other process of its user. Its own
        parent's pid it takes for stale, and still checks the shared memory that the file names; without the file
        it could not. An empty file, or one of garbage, it refuses for good.
        """
        if leftovers.recorded_pid(self._pid_file) is not None:
            _, _, rest = self._pid_file.read_text(errors="surrogateescape").partition("\n")
            files.put(self._pid_file, f"{os.getpid()}\n{rest}")
        elif self._pid_file.exists():
            await leftovers.deserted(self.name, self._data, ORPHAN_TRIES * ORPHAN_PAUSE)
            self._pid_file.unlink()
