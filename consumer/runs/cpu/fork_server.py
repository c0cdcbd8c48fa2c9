"""One fork server as the consumer sees it: asked for children, and left as soon as it hangs. Forks nothing itself."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from sluice.consumer.runs.cpu.child import Child, ChildDied
from sluice.consumer.runs.cpu.process import CALL, ENDED, NEWS, READY, REFUSED

if TYPE_CHECKING:
    from collections.abc import Sequence

_READY_SECONDS = 60.0
"""In this time the handlers' modules are imported, as a rule in one or two."""
_REAP_SECONDS = 0.5
_PIECE = 1 << 16


class ForkServer:
    """A process of `sluice.consumer.runs.cpu.process`. Once it is not `good` any more it is to be asked for nothing.

    It then ends with the last of its children, which have nothing to do with what is wrong with it.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._children: dict[int, Child] = {}
        self._asked = 0
        self._heard = bytearray()
        self.good = True
        self._control, theirs = socket.socketpair()
        self._control.setblocking(False)  # noqa: FBT003 - its signature
        with theirs:
            try:
                self._process = _start(theirs, modules)
            except OSError:
                self._control.close()
                raise
        self._loop.add_reader(self._control.fileno(), self._hear)

    async def fork(self, *, fork_timeout: float) -> Child | None:
        """A child that waits for its request, None when this server does not make any. Safe to cancel.

        A server that is ready and takes longer than `fork_timeout` seconds hangs, and is abandoned. Raises ChildDied
        when the system refuses another process.
        """
        ours, theirs = socket.socketpair()
        self._asked += 1
        child = Child(ours, self._asked, forget=self._forget)
        self._children[child.number] = child
        try:
            with theirs:
                async with asyncio.timeout(_READY_SECONDS):
                    await self._ready.wait()
                if self.good:
                    socket.send_fds(self._control, [CALL.pack(child.number)], [theirs.fileno()])
            async with asyncio.timeout(fork_timeout):
                await child.begin()
        except (OSError, EOFError):  # among them TimeoutError, and what a full or closed socket raises
            if child.refusal:
                raise ChildDied(f"the child process could not be forked: {child.refusal}") from None
            self.abandon()
        finally:
            if child.pid is None:
                self._forget(child)
        return child if child.pid is not None else None

    def abandon(self) -> None:
        """Use it no more, and have those who wait for a child turn to another server."""
        self.good = False
        self._ready.set()
        for child in self._children.values():
            child.give_up()
        self._end_when_idle()

    def kill(self) -> None:
        """End it at once, with every child and what those started."""
        for child in self._children.values():
            child.kill()
        self.good = False
        self._lose()

    def gone(self) -> bool:
        """Whether its process is."""
        return self._process.poll() is not None

    def _forget(self, child: Child) -> None:
        """The child has ended, or is left to itself."""
        child.close()
        self._children.pop(child.number, None)
        self._end_when_idle()

    def _end_when_idle(self) -> None:
        if not self.good and not self._children:
            self._lose()

    def _hear(self) -> None:
        try:
            data = self._control.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.abandon()
            self._lose()
            return
        self._heard += data
        whole = len(self._heard) // NEWS.size * NEWS.size
        for news, number, value in NEWS.iter_unpack(bytes(self._heard[:whole])):
            child = self._children.get(number)
            if news == READY:
                self._ready.set()
            elif child is not None and news == ENDED:
                child.ended(value)
            elif child is not None and news == REFUSED:
                child.refuse(value)
        del self._heard[:whole]

    def _lose(self) -> None:
        """Let the process go: it has ended, or does now."""
        if self._control.fileno() < 0:
            return
        self._loop.remove_reader(self._control.fileno())
        self._control.close()
        with suppress(ProcessLookupError):
            self._process.kill()
        for child in self._children.values():
            child.orphan()
        self._loop.call_later(_REAP_SECONDS, self.gone)


def _start(control: socket.socket, modules: Sequence[str]) -> subprocess.Popen[bytes]:
    """A fork server that speaks over `control`. Takes some milliseconds of the loop's. Raises OSError.

    A process group of its own keeps a terminal's signals away; in a session of its own it could outlive us.
    """
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; sys.argv[:] = {sys.argv!r}; "
        f"from sluice.consumer.runs.cpu.process import main; main({os.getpid()}, {control.fileno()}, {[*modules]!r})"
    )
    options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined] # noqa: SLF001
    return subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, *options, "-c", code],
        stdin=subprocess.DEVNULL,
        pass_fds=(control.fileno(),),
        process_group=0,
    )
