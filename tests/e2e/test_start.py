"""What keeps a consumer from starting: one line that says what to do, exit 1, and no traceback."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.support.consuming import Consumers
from tests.support.counting import completed
from tests.support.databases import named
from tests.support.eventually import eventually
from tests.support.proxy import proxied
from tests.support.stores import Stores, new


@pytest.fixture
def cold(consumers: Consumers) -> Consumers:
    """Consumers that begin with an interpreter of their own."""
    consumers.cold = True
    return consumers


async def _refused(consumers: Consumers, **environment: str) -> str:
    """The one line with which it ended."""
    consumer = await consumers.launch(**environment)
    assert await consumer.ended(within=20) == 1
    assert consumer.events("consumer.started") == []
    [line] = await eventually(lambda: consumer.said)
    assert line.startswith("sluice consumer: ")
    return line.removeprefix("sluice consumer: ")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("HANDLERS", "no.such.module", "HANDLERS: there is no module no.such.module on the import path"),
        ("REDIS_URL", "redis://h:abc", "REDIS_URL cannot be parsed: look at the port"),
        ("REDIS_URL", "redis://127.0.0.1:6379/0?foo=bar", "REDIS_URL cannot be used: look at its option foo"),
        ("WORKER_QUEUE_MAXSIZE", "0", "WORKER_QUEUE_MAXSIZE is '0': "),
        (
            "DATABASE_URL",
            "mysql://me:secret@here/x",
            "DATABASE_URL is (not shown): it must start with postgresql://",
        ),
    ],
)
async def test_a_wrong_setting_is_named_with_what_is_allowed(
    cold: Consumers, variable: str, value: str, said: str
) -> None:
    assert (await _refused(cold, **{variable: value})).startswith(said)


async def test_a_module_that_cannot_be_imported_says_why(consumers: Consumers) -> None:
    consumers.file("broken.py").write_text("raise KeyError('nothing here')\n")
    assert "importing broken raised KeyError: 'nothing here'" in await _refused(consumers, HANDLERS="broken")
    consumers.file("quits.py").write_text("import sys\nsys.exit(0)\n")
    assert "importing quits raised SystemExit: 0" in await _refused(consumers, HANDLERS="quits")
    consumers.file("needs.py").write_text("import surely_not_installed\n")
    assert "needs needs the module surely_not_installed" in await _refused(consumers, HANDLERS="needs")


async def test_a_database_that_was_not_migrated_is_told_with_the_command(
    stores: Stores, consumers: Consumers, database_url: str
) -> None:
    name = f"bare_{stores.keys.prefix.replace('-', '_')}"
    await stores.raw.execute(f'CREATE DATABASE "{name}"')
    try:
        line = await _refused(consumers, DATABASE_URL=named(database_url, name))
    finally:
        await stores.raw.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    assert line.startswith("the database is empty, this version needs ")
    assert line.endswith("run `sluice migrate`")


async def test_a_database_that_cannot_hold_every_text_is_refused(
    stores: Stores, consumers: Consumers, database_url: str
) -> None:
    name = f"narrow_{stores.keys.prefix.replace('-', '_')}"
    await stores.raw.execute(
        f"CREATE DATABASE {name} ENCODING 'EUC_JP' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
    )
    try:
        line = await _refused(consumers, DATABASE_URL=named(database_url, name))
    finally:
        await stores.raw.execute(f"DROP DATABASE {name} WITH (FORCE)")
    assert line.startswith("the database's encoding is EUC_JP, ")


async def test_a_database_that_is_not_there_is_told_at_once(consumers: Consumers, database_url: str) -> None:
    line = await _refused(consumers, DATABASE_URL=named(database_url, "nowhere"))
    assert line == 'PostgreSQL: database "nowhere" does not exist; set DATABASE_URL'


@asynccontextmanager
async def _refusing(state: str, message: str) -> AsyncIterator[str]:
    """A PostgreSQL that lets nobody in, and says so in its protocol's words."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            [size, code] = struct.unpack("!ii", await reader.readexactly(8))
            await reader.readexactly(size - 8)
            if code == 80877103:  # it asks for TLS first
                writer.write(b"N")
                [size] = struct.unpack("!i", await reader.readexactly(4))
                await reader.readexactly(size - 4)
            fields = "".join(
                f"{key}{value}\0" for key, value in (("S", "FATAL"), ("C", state), ("M", message))
            )
            writer.write(b"E" + struct.pack("!i", len(fields) + 5) + fields.encode() + b"\0")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"postgresql://me:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}/tasks"
    finally:
        server.close()


async def test_a_wrong_password_is_told_at_once_and_not_shown(consumers: Consumers) -> None:
    async with _refusing("28P01", 'password authentication failed for user "me"') as url:
        line = await _refused(consumers, DATABASE_URL=url)
    assert line == 'PostgreSQL: password authentication failed for user "me"; set DATABASE_URL'


async def test_a_postgresql_that_is_away_is_waited_for(
    stores: Stores, consumers: Consumers, database_url: str
) -> None:
    async with proxied(database_url) as proxy:
        await proxy.close()
        consumer = await consumers.launch(DATABASE_URL=proxy.url)
        await consumer.event("store.lost", within=20, doing="start")
        await proxy.open()
        await consumer.event("consumer.started")
        await stores.submit_and_push([new("count")])
        await eventually(lambda: completed(stores, 1))


async def test_a_signal_ends_the_waiting_for_postgresql(cold: Consumers, database_url: str) -> None:
    async with proxied(database_url) as proxy:
        proxy.hang()
        consumer = await cold.launch(DATABASE_URL=proxy.url)
        await eventually(lambda: proxy.connections)
        status, seconds = await consumer.stop()
    assert status == 0
    assert seconds < 1
