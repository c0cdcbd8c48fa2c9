"""`python -P -m MODULE` as a process of a test: forked from a warm parent where that makes no difference to it."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

from tests.support.warm import TOLD, Request

_WARM = Path(__file__).with_name("warm.py")
_FORK = Path(__file__).with_name("fork.py")
_PATH = str(Path(__file__).parents[2])
_LIMIT = 1 << 24
"""Bytes of a line on stderr."""
_READ_AT_START = ("PYTHON", "LANG", "LC_", "TZ", "LD_", "GLIBC_", "MALLOC_")
"""How the names of variables begin that Python or the C library reads before a program begins."""


class Forked(asyncio.Protocol):
    """A child of the warm parent, as asyncio.subprocess.Process shows one of ours."""

    def __init__(
        self,
        stdin: asyncio.StreamWriter | None,
        stdout: asyncio.StreamReader | None,
        stderr: asyncio.StreamReader | None,
    ) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.pid = 0
        self.began: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._told = bytearray()

    @property
    def returncode(self) -> int | None:
        """Its exit status, below 0 the signal that ended it; None while it lives."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        """Its exit status, once it has ended."""
        return await asyncio.shield(self._ended)

    async def communicate(self, given: bytes = b"") -> tuple[bytes, bytes]:
        """Write `given` to its stdin and wait for its end; what it wrote to those of stdout and stderr that we read."""
        stdin = self.stdin

        async def give() -> None:
            if stdin is not None:
                with suppress(ConnectionError):
                    stdin.write(given)
                    await stdin.drain()
                stdin.close()

        async def read(reader: asyncio.StreamReader | None) -> bytes:
            return b"" if reader is None else await reader.read()

        _, out, err = await asyncio.gather(give(), read(self.stdout), read(self.stderr))
        await self.wait()
        return out, err

    def send_signal(self, number: int) -> None:
        """A signal, to this process alone. Raises ProcessLookupError when it has ended."""
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def data_received(self, data: bytes) -> None:
        self._told += data
        numbers = [number for (number,) in TOLD.iter_unpack(self._told[: len(self._told) & ~3])]
        if numbers and not self.began.done():
            self.pid = numbers[0]
            self.began.set_result(None)
        if len(numbers) > 1:
            self._ended.set_result(numbers[1])

    def connection_lost(self, _: Exception | None) -> None:
        for future in (self.began, self._ended):
            if not future.done():
                future.set_exception(EOFError("the warm parent has ended"))


Process = asyncio.subprocess.Process | Forked


async def start(
    module: str,
    *arguments: str,
    environment: Mapping[str, str],
    cwd: Path,
    cold: bool = False,
    before: str = "",
    stdin: int = asyncio.subprocess.DEVNULL,
    stdout: int = asyncio.subprocess.DEVNULL,
    stderr: int = asyncio.subprocess.PIPE,
) -> Process:
    """Start `module` in a session of its own. Its files are PIPE, DEVNULL or the number of one of ours.

    `cold`: with an interpreter of its own. `before`: a shell's command in the
    process that then becomes the module's.
    """
    if cold or before or not _may_be_warm(environment):
        return await asyncio.create_subprocess_exec(
            *(("/bin/sh", "-c", f'{before}; exec "$@"', "sh") if before else ()),
            *(sys.executable, "-P", "-m", module, *arguments),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=environment,
            cwd=cwd,
            start_new_session=True,
            limit=_LIMIT,
        )
    request = Request(module=module, arguments=[*arguments], environment={**environment}, cwd=str(cwd))
    return await _fork(request, stdin, stdout, stderr)


def inherited(*without: str) -> dict[str, str]:
    """This process's environment but what is read before a program begins, and without these; with our path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_READ_AT_START)}
    return {name: value for name, value in kept.items() if name not in without} | {"PYTHONPATH": _PATH}


def put_command(path: Path, module: str) -> tuple[int, ...]:
    """Write a program for shells that starts `module`, warm where that can be; the files that it must inherit."""
    if sys.platform == "linux":
        fd = _parent().fileno()
        start = [sys.executable, "-IS", str(_FORK), str(fd), module]
        files: tuple[int, ...] = (fd,)
    else:
        start, files = [sys.executable, "-P", "-m", module], ()
    path.write_text(f'#!/bin/sh\nexec {shlex.join(start)} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return files


def _may_be_warm(environment: Mapping[str, str]) -> bool:
    asked = {name: value for name, value in environment.items() if name.startswith(_READ_AT_START)}
    return sys.platform == "linux" and asked == {"PYTHONPATH": _PATH}


@cache
def _parent() -> socket.socket:
    """The warm parent of this test process, started by who asks first."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", _WARM, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": _PATH},
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


async def _fork(request: Request, stdin: int, stdout: int, stderr: int) -> Forked:
    with ExitStack() as theirs:
        writer, fd_in = await _written(stdin, theirs)
        (reader_out, fd_out), (reader_err, fd_err) = [await _read(file, theirs) for file in (stdout, stderr)]
        channel, told = socket.socketpair()
        theirs.callback(told.close)
        _, forked = await asyncio.get_running_loop().create_connection(
            lambda: Forked(writer, reader_out, reader_err), sock=channel
        )
        socket.send_fds(_parent(), [json.dumps(request).encode()], [told.fileno(), fd_in, fd_out, fd_err])
    await forked.began
    return forked


async def _read(file: int, theirs: ExitStack) -> tuple[asyncio.StreamReader | None, int]:
    """What reads from the child, if that is a pipe, and the file for the child's side."""
    if file != asyncio.subprocess.PIPE:
        return None, _opened(file, theirs)
    ours, fd = os.pipe()
    theirs.callback(os.close, fd)
    reader = asyncio.StreamReader(limit=_LIMIT)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", 0)
    )
    return reader, fd


async def _written(file: int, theirs: ExitStack) -> tuple[asyncio.StreamWriter | None, int]:
    """What writes to the child, if that is a pipe, and the file for the child's side."""
    if file != asyncio.subprocess.PIPE:
        return None, _opened(file, theirs)
    fd, ours = os.pipe()
    theirs.callback(os.close, fd)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), os.fdopen(ours, "wb", 0)
    )
    return asyncio.StreamWriter(transport, protocol, None, loop), fd


def _opened(file: int, theirs: ExitStack) -> int:
    if file != asyncio.subprocess.DEVNULL:
        return file
    fd = os.open(os.devnull, os.O_RDWR)
    theirs.callback(os.close, fd)
    return fd
