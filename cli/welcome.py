"""The first thing `sluice up` shows once everything serves: where it is and how to reach it. Starts nothing."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path

from rich.box import ROUNDED
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sluice.cli.embedded import Urls

LOOK = 0.05
ANSWER = 2.0  # seconds for one answer


async def until_ready(host: str, port: int, *, consumer: Callable[[], int | None]) -> None:
    """Return once the API at `host` is ready and lists the consumer of that pid as alive."""
    await _until(lambda: _answers(host, port, "/readyz", b" 200 "))
    await _until(lambda: _answers(host, port, "/health", f'"pid":{consumer()},'.encode()))


async def _until(look: Callable[[], Awaitable[bool]]) -> None:
    while not await look():  # noqa: ASYNC110 - another process has no event for us
        await asyncio.sleep(LOOK)


async def _answers(host: str, port: int, path: str, sign: bytes) -> bool:
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(ANSWER):
            reader, writer = await asyncio.open_connection(host.strip("[]"), port)
            try:
                writer.write(request.encode())
                return sign in await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


def show(*, url: str, data: Path | None, kept: bool, embedded: Urls, seconds: float) -> None:
    """Print the box on stdout, and below it, ready to be copied, the lines that let another shell join in."""
    rows = {"API": url, "Docs": f"{url}/docs"}
    if data is not None:
        rows["Data"] = f"{data} ({'kept' if kept else 'forgotten at the end'})"
    rows["Stop"] = "Ctrl-C"
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        table.add_row(Text(name, style="bold"), Text(value))  # a directory may be named like markup
    console = Console(highlight=False, soft_wrap=True)
    title = f"[bold]sluice {version('sluice-tasks')}[/] ready in {seconds:.1f} s"
    console.print(Panel(table, title=title, title_align="left", box=ROUNDED, expand=False, padding=(0, 2)))
    exports = {"DATABASE_URL": embedded.database_url, "REDIS_URL": embedded.redis_url}
    for name, value in exports.items():
        if value:
            console.print(Text(f"export {name}={shlex.quote(value)}"))
    console.file.flush()
