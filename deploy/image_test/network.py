"""A network of the test's own: a loopback that nobody else is on, and the embedded servers on its usual ports.

The embedded servers listen on Unix sockets only; containers reach their stores by TCP, as they do in production. It
refuses to open these ports, which ask for no password, on the machine's own loopback.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1

POSTGRESQL_PORT = 5432
REDIS_PORT = 6379


def enter_own_network() -> None:
    """Move this process, and all it starts from now on, to a network with nothing but an own loopback."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"no network namespace: {os.strerror(error)}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))


@contextlib.asynccontextmanager
async def on_loopback(database_url: str, redis_url: str) -> AsyncIterator[dict[str, str]]:
    """Serve both Unix sockets on 127.0.0.1; gives the environment that names them there."""
    database = urlsplit(database_url)
    directory = Path(parse_qs(database.query)["host"][0])
    sockets = {
        POSTGRESQL_PORT: directory / f".s.PGSQL.{database.port or 5432}",
        REDIS_PORT: Path(urlsplit(redis_url).path),
    }
    async with contextlib.AsyncExitStack() as servers:
        for port, path in sockets.items():
            server = await asyncio.start_server(_Forward(path), "127.0.0.1", port)
            servers.callback(server.close)
        user = database.username or "postgres"
        yield {
            "DATABASE_URL": f"postgresql://{user}@127.0.0.1:{POSTGRESQL_PORT}{database.path}",
            "REDIS_URL": f"redis://127.0.0.1:{REDIS_PORT}/0",
        }


class _Forward:
    """Answers a TCP connection with one to a Unix socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def __call__(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            store_reader, store_writer = await asyncio.open_unix_connection(self._path)
        except OSError as error:
            print(f"{self._path}: {error}")
            writer.close()
            return
        async with asyncio.TaskGroup() as both_ways:
            both_ways.create_task(_pump(reader, store_writer))
            both_ways.create_task(_pump(store_reader, writer))


async def _pump(reader: StreamReader, writer: StreamWriter) -> None:
    # A side that resets the connection ends it like one that closes it: the other side learns by the close.
    with contextlib.suppress(ConnectionError):
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
    writer.close()
