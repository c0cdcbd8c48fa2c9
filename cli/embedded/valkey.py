"""The embedded Valkey: append-only file, a Unix socket and no TCP. Knows no key."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sluice.cli.embedded import leftovers
from sluice.cli.embedded.binaries import VALKEY, find
from sluice.cli.embedded.leftovers import Say
from sluice.cli.embedded.place import VALKEY_DATA, Place
from sluice.cli.embedded.server import Server
from sluice.core.errors import ConfigurationError

SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory-policy": "noeviction",
}
DAMAGED = ("AOF", "append only file")
"""What it says of files that a power cut or a full disk has left half written."""
STOPPING = ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0))
ANSWER = 1.0  # seconds for a PING


class Valkey(Server):
    """Valkey 9 in `<base>/valkey`."""

    name = "Valkey"
    death_signal = signal.SIGTERM
    waiting_for = "is loading its append-only file"

    def __init__(self, place: Place, *, base: Path, say: Say) -> None:
        super().__init__(place, base=base, say=say)
        self._data = base / VALKEY_DATA
        self._socket = place.sockets / "valkey.sock"
        self.url = f"unix://{self._socket}"

    async def start(self) -> None:
        """As `Server.start`. Files that it cannot read are set aside: what they held, scans find by the rows."""
        try:
            await super().start()
        except ConfigurationError:
            if not any(word in self.last_words() for word in DAMAGED):
                raise
            aside = self._data.with_name(f"{self._data.name}.damaged")
            shutil.rmtree(aside, ignore_errors=True)
            self._data.rename(aside)
            self._say(f"Valkey cannot read its files, which are now in {aside}; no task is lost")
            await super().start()

    def forget(self) -> None:
        """Remove all its data. Only while it does not run (RuntimeError)."""
        if self.pid is not None:
            raise RuntimeError("Valkey runs: stop or kill it first")
        shutil.rmtree(self._data, ignore_errors=True)

    def _stop_signal(self, *, now: bool) -> signal.Signals:
        return signal.SIGKILL if now else signal.SIGTERM

    async def _prepare(self) -> Sequence[str]:
        pid_file = self._data / "valkey.pid"
        await leftovers.evict(self.name, pid_file, str(self._socket), STOPPING, self._say)
        program = find(VALKEY, self._place.account, self._place.data / "programs")
        self._data.mkdir(mode=0o700, exist_ok=True)
        self._place.give(self._data)
        paths = {"dir": self._data, "pidfile": pid_file, "unixsocket": self._socket}
        settings = [
            word for name, value in {**SETTINGS, **paths}.items() for word in (f"--{name}", str(value))
        ]
        return [str(program), *settings]

    async def _ready(self, pid: int) -> bool:  # noqa: ARG002 - only it has the socket
        """Its own PING, answered with PONG once the data is loaded."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(ANSWER):
                reader, writer = await asyncio.open_unix_connection(self._socket)
                try:
                    writer.write(b"PING\r\n")
                    return await reader.readline() == b"+PONG\r\n"
                finally:
                    writer.close()
        return False
