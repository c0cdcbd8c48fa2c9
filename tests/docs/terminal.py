"""Programs on a terminal of their own, as a reader of the documents has one: what they show there is kept."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.support import launching
from tests.support.eventually import eventually

ROWS, COLUMNS = 40, 110
_ENVIRONMENT = {"TERM": "dumb", "COLUMNS": str(COLUMNS), "LINES": str(ROWS)}
_MARK = "\x1e"
_STYLE = re.compile(r"\x1b(?:\[[0-9;]*m|\]8;;.*?\x1b\\)")


@contextmanager
def _screen() -> Iterator[tuple[int, int]]:
    """A new terminal, our side and theirs, which is closed once they have it."""
    screen, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (ROWS, COLUMNS))
    try:
        yield screen, theirs
    finally:
        os.close(theirs)


class Terminal:
    """A process whose stdout and stderr are one terminal. A context manager: what still runs at its end is killed."""

    def __init__(self, process: launching.Process, screen: int) -> None:
        self.process = process
        self._screen = screen
        self._shown = bytearray()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(screen, self._read)

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        directory: Path,
        environment: Mapping[str, str],
        files: Sequence[int] = (),
    ) -> Self:
        """Run `command`; it can be written to, not typed at. It inherits `files`."""
        with _screen() as (screen, theirs):
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=directory,
                env={**environment, **_ENVIRONMENT},
                stdin=asyncio.subprocess.PIPE,
                stdout=theirs,
                stderr=theirs,
                pass_fds=files,
                start_new_session=True,
            )
        return cls(process, screen)

    @classmethod
    async def start_module(
        cls, command: Sequence[str], *, directory: Path, environment: Mapping[str, str]
    ) -> Self:
        """The same for a module and its arguments."""
        with _screen() as (screen, theirs):
            process = await launching.start(
                *command,
                cwd=directory,
                environment={**environment, **_ENVIRONMENT},
                stdin=asyncio.subprocess.PIPE,
                stdout=theirs,
                stderr=theirs,
            )
        return cls(process, screen)

    def text(self) -> str:
        """Everything that was shown, without styles, links behind words and blanks at the ends of lines."""
        shown = _STYLE.sub("", re.sub(r"\r+\n", "\n", self._shown.decode("utf-8", "replace")))
        return re.sub(r"[ \t]+$", "", shown, flags=re.MULTILINE)

    async def interrupt(self) -> int:
        """Ctrl-C, and the exit status."""
        self.process.send_signal(signal.SIGINT)
        return await self.process.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        self._loop.remove_reader(self._screen)
        os.close(self._screen)
        assert self.process.stdin is not None
        self.process.stdin.close()

    def _read(self) -> None:
        try:
            self._shown += os.read(self._screen, 1 << 16)
        except OSError:  # every process that had the terminal has ended
            self._loop.remove_reader(self._screen)


class Shell:
    """One shell for a whole document: what a command exports, the next one finds."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    async def run(self, command: str, *, timeout: float) -> str:
        """What the command showed. AssertionError when it does not end in time."""
        before = len(self._terminal.text())
        stdin = self._terminal.process.stdin
        assert stdin is not None
        stdin.write(f"{{ {command}\n}} </dev/null\nprintf '{_MARK}'\n".encode())
        await stdin.drain()

        def ended() -> str:
            shown = self._terminal.text()[before:]
            return shown if shown.endswith(_MARK) else ""

        shown = (await eventually(ended, timeout=timeout)).removesuffix(_MARK)
        return shown if shown.endswith("\n") or not shown else f"{shown}\n"
