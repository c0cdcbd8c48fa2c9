"""One child process as the consumer sees it, from the request for it to its end. Waits for nothing without a limit."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from sluice.consumer.runs.cpu.process import SIZE
from sluice.core.errors import SluiceError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

_TOLD_SECONDS = 1.0
"""How long the end of a child is waited for, and word of how it ended: neither may come."""
_PIECE = 1 << 16


class ChildDied(SluiceError):
    """The child process ended without an answer: it fails its own task only."""


class Child:
    """One child, from the request for it to its end. `pid` is None until it has spoken."""

    def __init__(self, channel: socket.socket, number: int, *, forget: Callable[[Child], None]) -> None:
        self.number = number
        self._loop = asyncio.get_running_loop()
        self._forget = forget
        self._channel = channel
        self._channel.setblocking(False)  # noqa: FBT003 - its signature
        self._news = asyncio.Event()
        self._said = bytearray()
        self._silent = False
        self._ended = False
        self._orphan = False
        self._status: int | None = None
        self._pidfd = -1
        self.pid: int | None = None
        self.refusal = ""
        self._loop.add_reader(self._channel.fileno(), self._read)

    async def begin(self) -> None:
        """Wait until it has said who it is. Raises EOFError and OSError when it does not come to that."""
        [pid] = SIZE.unpack(await self._take(SIZE.size))
        if hasattr(os, "pidfd_open"):  # else its server tells when it has ended
            self._pidfd = os.pidfd_open(pid)
            self._loop.add_reader(self._pidfd, self.ended)
        self.pid = pid

    async def ask(self, request: bytes) -> bytes:
        """What it answers. Raises ChildDied when it ends without an answer."""
        try:
            await self._loop.sock_sendall(self._channel, SIZE.pack(len(request)) + request)
            [size] = SIZE.unpack(await self._take(SIZE.size))
            return await self._take(size)
        except (EOFError, OSError):
            raise ChildDied(f"the child process died: {await self._how()}") from None

    async def end(self) -> None:
        """End it with all that it started, and wait for that a moment."""
        try:
            self.kill()
            await self._until(lambda: self._ended)
        finally:
            self._forget(self)

    def kill(self) -> None:
        """End it with all that it started. Until its status is told, its number cannot be another's."""
        if self.pid is not None and self._status is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def ended(self, status: int | None = None) -> None:
        """It has, as the system says or, with its status, its server."""
        self._status = self._status if status is None else status
        self._read()
        self._ended = self._silent = True
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
        self._news.set()

    def refuse(self, number: int) -> None:
        """There will be none."""
        self.refusal = os.strerror(number)
        self.give_up()

    def give_up(self) -> None:
        """Do not wait for it to begin."""
        if self.pid is None:
            self._silent = True
            self._news.set()

    def orphan(self) -> None:
        """Its server is no more: nobody will tell its status."""
        self._orphan = True
        self._news.set()

    def close(self) -> None:
        """Let go of it."""
        if self._channel.fileno() >= 0:
            self._loop.remove_reader(self._channel.fileno())
            self._channel.close()
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _read(self) -> None:
        if self._channel.fileno() < 0:
            return
        try:
            while piece := self._channel.recv(_PIECE):
                self._said += piece
            self._silent = True
        except BlockingIOError:
            pass
        except OSError:
            self._silent = True
        if self._silent:
            self._loop.remove_reader(self._channel.fileno())
        self._news.set()

    async def _take(self, size: int) -> bytes:
        """The next bytes of what it says. Raises EOFError when it says no more."""
        while len(self._said) < size:
            if self._silent:
                raise EOFError
            self._news.clear()
            await self._news.wait()
        taken = bytes(self._said[:size])
        del self._said[:size]
        return taken

    async def _how(self) -> str:
        """How it ended, in words."""
        await self._until(lambda: self._status is not None or self._orphan)
        if self._status is None:
            return "nobody knows how" if self._ended else "it does not end"
        status = self._status
        return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    async def _until(self, fact: Callable[[], bool]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_TOLD_SECONDS):
                while not fact():
                    self._news.clear()
                    await self._news.wait()
