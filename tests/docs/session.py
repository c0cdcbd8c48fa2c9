"""A document followed from its first line to its last, as a reader with a terminal would.

`console` blocks hold commands (after "$ ") and what they show. `make run` and `sluice up` keep running until "^C" or
the next of them; a block that begins without a command tells what they show by then, other lines in between left out.
Everything else runs in one shell. A `python` block that begins with "# name.py" is saved under that name. Blocks of
other languages are not run.
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.docs.expected import pattern, substituted
from tests.docs.markdown import Block, blocks
from tests.docs.terminal import Shell, Terminal
from tests.support.eventually import eventually

HOME = "/home/you/sluice"
"""What the documents call the directory in which everything happens."""

_SECONDS = 30.0
"""How long a command may take, and how long an answer that is not there yet is waited for: machines may be busy."""
_START_SECONDS = 90.0
_ASK_AGAIN = 0.4
"""Each asking starts a process, which costs more than the pause."""
_SERVICE = re.compile(r"(?P<settings>(?:[A-Z_]+=\S+ )*)(?:make run|sluice up)\b(?P<options>.*)")
_SAVED = re.compile(r"# (?P<name>\w+\.py)\n")
# Asking again changes nothing, so an answer that is not there yet is waited for.
_ONLY_ASKS = re.compile(r"sluice (show|list) |curl (?!.* -[Xd])")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One command and what it shows."""

    where: str
    command: str
    shown: str


def exchanges(block: Block) -> Iterator[Exchange]:
    """The commands of a console block; one goes on after a backslash, or in lines that begin with "> ".

    A block that begins with no command tells what the service shows by then: an exchange without a command.
    """
    lines = block.text.splitlines()
    at = 0
    while at < len(lines):
        name = f"{block.document.name}:{block.line + at}"
        command: list[str] = []
        if _is_command(lines[at]):
            command.append(lines[at].removeprefix("$ "))
            at += 1
            while at < len(lines) and (command[-1].endswith("\\") or lines[at].startswith("> ")):
                command.append(lines[at].removeprefix("> "))
                at += 1
        shown = []
        while at < len(lines) and not _is_command(lines[at]):
            shown.append(f"{lines[at].rstrip()}\n")
            at += 1
        yield Exchange(name, "\n".join(command), "".join(shown))


def _is_command(line: str) -> bool:
    return line.startswith(("$ ", "^C"))


class Session:
    """A reader at work. A context manager: nothing that was started is left running."""

    def __init__(
        self, directory: Path, port: int, environment: Mapping[str, str], files: Sequence[int]
    ) -> None:
        self._directory = directory
        self._files = files
        self._port = port
        self._environment = {
            **environment,
            "API_PORT": str(port),
            "SLUICE_URL": f"http://127.0.0.1:{port}",
            "NO_COLOR": "1",
        }
        self._stack = AsyncExitStack()
        self._shell: Shell | None = None
        self._service: Terminal | None = None
        self._ids: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        terminal = await Terminal.start(
            ["sh"], directory=self._directory, environment=self._environment, files=self._files
        )
        self._shell = Shell(await self._stack.enter_async_context(terminal))
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._stop()
        finally:
            await self._stack.aclose()

    async def follow(self, document: Path) -> int:
        """Do all that the document says; how many commands it has."""
        count = 0
        for block in blocks(document, "console", "python"):
            if block.language == "console":
                for exchange in exchanges(block):
                    await self._do(exchange)
                    count += 1
            elif saved := _SAVED.match(block.text):
                (self._directory / saved["name"]).write_text(block.text, encoding="utf-8")
        return count

    async def _do(self, exchange: Exchange) -> None:
        service = _SERVICE.fullmatch(exchange.command)
        if exchange.command in {"", "^C"}:
            await self._watch(exchange)
        elif service is not None:
            await self._serve(exchange, service)
        else:
            await self._in_shell(exchange)

    async def _in_shell(self, exchange: Exchange) -> None:
        assert self._shell is not None
        shell, command = self._shell, self._real(substituted(exchange.command, self._ids))

        async def fits() -> bool:
            shown = self._documented(await shell.run(command, timeout=_SECONDS))
            try:
                self._compare(exchange, shown)
            except AssertionError:
                await asyncio.sleep(_ASK_AGAIN)
                raise
            return True

        await eventually(fits, timeout=_SECONDS if _ONLY_ASKS.match(command) else 0)

    async def _serve(self, exchange: Exchange, service: re.Match[str]) -> None:
        await self._stop()
        settings = dict(word.split("=", 1) for word in service["settings"].split())
        terminal = await Terminal.start_module(
            ["sluice", "up", *service["options"].split()],
            directory=self._directory,
            environment={**self._environment, **settings},
        )
        self._service = await self._stack.enter_async_context(terminal)
        await self._shows(terminal, exchange, timeout=_START_SECONDS)

    async def _watch(self, exchange: Exchange) -> None:
        """Look at the service, after Ctrl-C if that is the command."""
        assert self._service is not None, f"{exchange.where}: nothing runs"
        if exchange.command:
            self._service.process.send_signal(signal.SIGINT)
        await self._shows(self._service, exchange)
        if exchange.command:
            await self._stop()

    async def _shows(self, terminal: Terminal, exchange: Exchange, *, timeout: float = _SECONDS) -> None:
        """The service shows what the document says, in this order and among other lines."""
        wanted, groups = pattern("...\n".join(exchange.shown.splitlines(keepends=True)), self._ids)

        def seen() -> bool:
            text = self._documented(terminal.text())
            found = wanted.search(text)
            assert found is not None, _difference(exchange, text)
            self._learn(found, groups)
            return True

        await eventually(seen, timeout=timeout)

    async def _stop(self) -> None:
        service, self._service = self._service, None
        if service is not None and service.process.returncode is None:
            assert await service.interrupt() == 0, service.text()

    def _compare(self, exchange: Exchange, text: str) -> None:
        wanted, groups = pattern(exchange.shown, self._ids)
        found = wanted.fullmatch(text)
        assert found is not None, _difference(exchange, text) + self._log()
        self._learn(found, groups)

    def _learn(self, found: re.Match[str], groups: Mapping[str, str]) -> None:
        for group, shown in groups.items():
            self._ids[shown] = found[group]

    def _real(self, text: str) -> str:
        return text.replace("127.0.0.1:8000", f"127.0.0.1:{self._port}").replace(HOME, str(self._directory))

    def _documented(self, text: str) -> str:
        return text.replace(f"127.0.0.1:{self._port}", "127.0.0.1:8000").replace(str(self._directory), HOME)

    def _log(self) -> str:
        return "" if self._service is None else f"\nthe service showed:\n{self._service.text()[-3000:]}"


def _difference(exchange: Exchange, text: str) -> str:
    return f"{exchange.where}: $ {exchange.command}\nthe document shows:\n{exchange.shown}\nit really shows:\n{text}"
