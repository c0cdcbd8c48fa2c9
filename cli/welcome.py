"""The first thing `sluice up` shows once everything serves: where it is and how to reach it. Starts nothing."""

from __future__ import annotations

import asyncio
import shlex
from importlib.metadata import version
from pathlib import Path

from rich.box import ROUNDED
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from cli.embedded import Urls

LOOK = 0.05
ANSWER = 2.0  # seconds for /readyz


async def until_ready(host: str, port: int) -> None:
    """Return once the API at `host` says that it is ready."""
    while not await _answers(host, port):  # noqa: ASYNC110 - another process has no event for us
        await asyncio.sleep(LOOK)


async def _answers(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(ANSWER):
            reader, writer = await asyncio.open_connection(host.strip("[]"), port)
            try:
                writer.write(
                    f"GET /readyz HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
                )
                return (await reader.readline()).split(b" ")[1:2] == [b"200"]
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
        table.add_row(f"[bold]{name}[/]", value)
    console = Console(highlight=False, soft_wrap=True)
    title = f"[bold]sluice {version('sluice')}[/] ready in {seconds:.1f} s"
    console.print(Panel(table, title=title, title_align="left", box=ROUNDED, expand=False, padding=(0, 2)))
    exports = {"DATABASE_URL": embedded.database_url, "REDIS_URL": embedded.redis_url}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in exports.items() if value]
    console.print("\n".join([*lines, ""] if lines else [""]), markup=False, end="")
    console.file.flush()
