"""The first thing `sluice up` shows once everything serves: where it is and how to reach it. Starts nothing."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from uuid import UUID

from rich.box import ROUNDED
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sluice.cli.address import is_found
from sluice.cli.embedded import Urls

LOOK = 0.05
ANSWER = 2.0  # seconds for one answer
CONSUMER = 15.0  # seconds after the API for a consumer that begins without a word, such as for slow imports

CONSUMER_ID = re.compile(rb'"id":"([0-9a-f-]{36})"')


async def until_ready(host: str, port: int, *, after: UUID, complains: Callable[[], bool]) -> bool:
    """Return once the API at `host` is ready and lists a consumer whose id is later than `after`.

    False when none came: it `complains`, or has said nothing and is not there after CONSUMER seconds.
    """
    await _until(lambda: _is_ready(host, port))
    try:
        async with asyncio.timeout(CONSUMER):
            await _until(lambda: _consumes(host, port, after), unless=complains)
    except TimeoutError:
        return False
    return not complains()


async def _until(look: Callable[[], Awaitable[bool]], *, unless: Callable[[], bool] = lambda: False) -> None:
    while not (await look() or unless()):  # noqa: ASYNC110 - another process has no event for us
        await asyncio.sleep(LOOK)


async def _is_ready(host: str, port: int) -> bool:
    return b" 200 " in await _answer(host, port, "/readyz")


async def _consumes(host: str, port: int, after: UUID) -> bool:
    found = CONSUMER_ID.findall(await _answer(host, port, "/health"))
    return any(UUID(consumer.decode()) > after for consumer in found)


async def _answer(host: str, port: int, path: str) -> bytes:
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(ANSWER):
            reader, writer = await asyncio.open_connection(host.strip("[]"), port)
            try:
                writer.write(request.encode())
                return await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""


def show(
    *,
    url: str,
    data: Path | None,
    kept: bool,
    named: Mapping[str, str],
    embedded: Urls,
    seconds: float,
    consumer: bool = True,
) -> None:
    """Print the box on stdout, and below it, ready to be copied, the lines that let another shell join in.

    `data`: where embedded servers keep something. `named`: the stores that are not embedded, and where they are.
    """
    rows = {"API": url, "Docs": f"{url}/docs", **named}
    if data is not None:
        rows["Data"] = f"{data} ({'kept' if kept else 'forgotten at the end'})"
    if not consumer:
        rows["Consumer"] = "does not run yet, see above; it is tried again"
    rows["Stop"] = "Ctrl-C"
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        table.add_row(Text(name, style="bold"), Text(value))  # a directory may be named like markup
    console = Console(highlight=False, soft_wrap=True)
    title = f"[bold]sluice {version('sluice-tasks')}[/] ready in {seconds:.1f} s"
    console.print(Panel(table, title=title, title_align="left", box=ROUNDED, expand=False, padding=(0, 2)))
    exports = {
        "DATABASE_URL": embedded.database_url,
        "REDIS_URL": embedded.redis_url,
        "SLUICE_URL": "" if is_found(url) else url,
    }
    for name, value in exports.items():
        if value:
            console.print(Text(f"export {name}={shlex.quote(value)}"))
    console.file.flush()
