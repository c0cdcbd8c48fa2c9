"""`python -P -m MODULE` as a process of a test: forked from a warm parent where that makes no difference to it."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.support.warm import TOLD, Request

_WARM = Path(__file__).with_name("warm.py")
_LIMIT = 1 << 24
"""Bytes of a line on stderr."""
_READ_AT_START = ("PYTHON", "LANG", "LC_", "TZ", "LD_", "GLIBC_", "MALLOC_")
"""How the names of variables begin that Python or the C library reads before a program begins."""


class Forked(asyncio.Protocol):
    """A child of the warm parent, as asyncio.subprocess.Process shows one of ours."""

    def __init__(self, stderr: asyncio.StreamReader | None) -> None:
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
    stderr: int = asyncio.subprocess.PIPE,
) -> Process:
    """Start `module` in a session of its own, with nothing to read or write but its stderr, a pipe or this file.

    `cold`: with an interpreter of its own. `before`: a shell's command in the
    process that then becomes the module's.
    """
    if cold or before or not _may_be_warm(environment):
        return await asyncio.create_subprocess_exec(
            *(("/bin/sh", "-c", f'{before}; exec "$@"', "sh") if before else ()),
            *(sys.executable, "-P", "-m", module, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=stderr,
            env=environment,
            cwd=cwd,
            start_new_session=True,
            limit=_LIMIT,
        )
    return await _fork(
        Request(module=module, arguments=[*arguments], environment={**environment}, cwd=str(cwd)), stderr
    )


def _may_be_warm(environment: Mapping[str, str]) -> bool:
    asked = {name: value for name, value in environment.items() if name.startswith(_READ_AT_START)}
    return sys.platform == "linux" and asked == {"PYTHONPATH": os.pathsep.join(_path())}


def _path() -> Sequence[str]:
    return (str(Path(__file__).parents[2]),)


@cache
def _parent() -> socket.socket:
    """The warm parent of this test process, started by who asks first."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", _WARM, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": os.pathsep.join(_path())},
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


async def _fork(request: Request, stderr: int) -> Forked:
    if stderr != asyncio.subprocess.PIPE:
        return await _ask(request, None, stderr)
    reader = asyncio.StreamReader(limit=_LIMIT)
    ours, theirs = os.pipe()
    try:
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", 0)
        )
        return await _ask(request, reader, theirs)
    finally:
        os.close(theirs)


async def _ask(request: Request, reader: asyncio.StreamReader | None, stderr: int) -> Forked:
    channel, told = socket.socketpair()
    with told:
        _, forked = await asyncio.get_running_loop().create_connection(lambda: Forked(reader), sock=channel)
        socket.send_fds(_parent(), [json.dumps(request).encode()], [told.fileno(), stderr])
    await forked.began
    return forked
