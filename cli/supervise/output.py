"""Children's lines on our stderr: with a short prefix on a terminal, as they are elsewhere. Interprets none of them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from rich.console import Console
from rich.style import Style

OURS = "sluice"
LONGEST_LINE = 1 << 20
LAST_LINES = 1.0  # seconds for what a child that has ended still has in its pipe
COLOURS = ("cyan", "magenta", "green", "blue")


class Output:
    """One stream for everybody. Keeps each child's last line, for the message when it fails."""

    def __init__(self, names: tuple[str, ...], stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        console = Console(file=self._stream)
        self.on_terminal = console.is_terminal
        self._coloured = console.color_system is not None and not console.no_color
        self._width = max(map(len, (OURS, *names)))
        self._colour = dict(zip(names, COLOURS, strict=False))
        self._last: dict[str, str] = {}
        self._pipes: dict[str, _Lines] = {}

    async def open(self, name: str, *, known: str = "") -> int:
        """A file descriptor whose lines are shown as `name`'s; the caller closes it once the child has it.

        A line that is `known` is not shown again.
        """
        theirs, ours = os.pipe()
        self._last.pop(name, None)
        lines = self._pipes[name] = _Lines(lambda line: self._show(name, line, known))
        os.set_blocking(theirs, False)
        await asyncio.get_running_loop().connect_read_pipe(lambda: lines, os.fdopen(theirs, "rb", 0))
        return ours

    async def drain(self, name: str) -> None:
        """Show what `name`, which has ended, wrote last. Something that it left running cannot keep us here."""
        if name in self._pipes:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_LINES):
                    await self._pipes[name].closed.wait()

    def last_line(self, name: str) -> str:
        """The last line of `name` that was not empty."""
        return self._last.get(name, "")

    def say(self, line: str) -> None:
        """A line of our own."""
        self._write(OURS, line)

    def _show(self, name: str, line: str, known: str) -> None:
        text = line.strip()
        self._last[name] = text or self.last_line(name)
        if not text or text != known:
            self._write(name, line)

    def _write(self, name: str, line: str) -> None:
        if self.on_terminal:
            prefix = f"{name:<{self._width}} │ "
            colour = Style(color=self._colour.get(name), bold=name == OURS)
            line = (colour.render(prefix) if self._coloured else prefix) + line
        elif name == OURS:
            line = f"{OURS}: {line}"
        with suppress(OSError):  # the terminal is gone: what runs goes on
            self._stream.write(f"{line}\n")
            self._stream.flush()


class _Lines(asyncio.Protocol):
    def __init__(self, emit: Callable[[str], None]) -> None:
        self._emit = emit
        self._rest = b""
        self.closed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._emit(line.decode("utf-8", "replace"))
        if len(self._rest) > LONGEST_LINE:
            self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._flush()
        self.closed.set()

    def _flush(self) -> None:
        if self._rest:
            self._emit(self._rest.decode("utf-8", "replace"))
        self._rest = b""
