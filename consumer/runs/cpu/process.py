"""What runs outside of the consumer: the fork server's process, and the children that it forks, one for each call.

The server has imported the handlers' modules once, so that a call costs a fork. It runs no handler itself and heeds no
signal: a terminal or a service manager sends one to all processes of a group, and the consumer decides who ends.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import importlib
import inspect
import os
import pickle
import selectors
import signal
import socket
import struct
import sys
from contextlib import suppress
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, NoReturn

from sluice.consumer.handlers.result import encode
from sluice.consumer.runs.cpu import answers
from sluice.core.process.forks import set_forks_apart
from sluice.core.process.parent_death import adopt_orphans, die_with_parent
from sluice.core.process.signals import GROUP
from sluice.core.settings import LogSettings, load
from sluice.core.telemetry import log
from sluice.core.telemetry.current import ATTEMPT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

CALL = struct.Struct("q")
"""To the server: the number of a call, with the descriptor by which its child speaks to the consumer."""
NEWS = struct.Struct("qqq")
"""From the server: which news, the number of the call that they are about, and READY's 0, a status or an errno."""
READY, ENDED, REFUSED = range(3)
SIZE = struct.Struct("q")
"""Before each message between consumer and child. The child's first one is its pid alone."""


def main(parent: int, control: int, modules: Sequence[str]) -> NoReturn:
    """Fork a child for each call, until the consumer, whose pid is `parent`, has ended."""
    for number in GROUP:
        signal.signal(number, signal.SIG_IGN)
    adopt_orphans()
    # Woken by it, this process ends the children's own processes as well.
    die_with_parent(signal.SIGCHLD, parent)
    settings = load(LogSettings)  # a handler's ctx.log writes where the consumer's does, and as it does
    log.configure(settings.log_level, settings.log_format)
    log.hold_stderr()
    for module in modules:
        with suppress(BaseException):  # each child says what is wrong with it
            importlib.import_module(module)
    for number in GROUP:
        signal.signal(number, signal.SIG_IGN)  # a module may have had other plans
    resource_tracker.ensure_running()  # the children's own would be killed with them, and clean nothing up
    gc.collect()
    gc.freeze()
    with _inherited(control) as channel:
        server = _Server(channel, parent)
        try:
            server.run()
        finally:
            server.end()


def _inherited(descriptor: int) -> socket.socket:
    """Return the socket, which waits for as long as it takes, whatever default a module has set for sockets."""
    channel = socket.socket(fileno=descriptor)
    channel.settimeout(None)
    return channel


class _Server:
    """The children that live, each the leader of a process group, by pid."""

    def __init__(self, control: socket.socket, parent: int) -> None:
        self._control = control
        self._parent = parent
        self._calls: dict[int, int] = {}
        self._woken, self._wakes = socket.socketpair()
        for end in (self._woken, self._wakes):
            end.setblocking(False)  # noqa: FBT003 - its signature

    def run(self) -> None:
        """Until the consumer has closed its end, or has ended although somebody else holds that."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            self._tell(READY, 0, 0)
            while os.getppid() == self._parent:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._woken in ready:
                    self._woken.recv(4096)
                    self._reap()
                if self._control in ready and not self._serve():
                    return

    def end(self) -> NoReturn:
        """End every child with all that it started, and this process."""
        for pid in self._calls:
            _end_group(pid)
        os._exit(0)

    def _serve(self) -> bool:
        """Fork one child; whether there may be more."""
        data, descriptors, _, _ = socket.recv_fds(self._control, CALL.size, 1)
        if not data:
            return False
        [call] = CALL.unpack(data)
        try:
            pid = self._fork(descriptors)
        except OSError as refused:
            self._tell(REFUSED, call, refused.errno or 0)
        else:
            self._calls[pid] = call
        for descriptor in descriptors:
            os.close(descriptor)
        return True

    def _fork(self, descriptors: Sequence[int]) -> int:
        """The pid of a new child. Raises OSError."""
        if not descriptors:
            raise OSError(errno.EMFILE, "")  # what was sent along could not be taken
        pid = os.fork()
        if not pid:
            self._become(descriptors[0])
        return pid

    def _become(self, descriptor: int) -> NoReturn:
        """Be the child, from here to its end."""
        try:
            parent = os.getppid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for end in (self._control, self._woken, self._wakes):
                end.close()
            with _inherited(descriptor) as channel:
                live(channel, parent)
            os._exit(0)
        except BaseException:  # noqa: BLE001 - the server's loop is not to go on here
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
        finally:
            os._exit(1)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            call = self._calls.pop(pid, None)
            if call is not None:  # else an orphan that was adopted
                _end_group(pid)
                self._tell(ENDED, call, os.waitstatus_to_exitcode(status))

    def _tell(self, *news: int) -> None:
        # Where the consumer has ended, this process is next.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._control.sendall(NEWS.pack(*news))


def _end_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def live(channel: socket.socket, parent: int) -> None:
    """A child's whole life: say who it is, call one function once, answer.

    It leads a process group, so that all that it starts ends with it.
    """
    with suppress(ConnectionError):  # the consumer has gone, or wants nothing of this child any more
        os.setpgid(0, 0)
        die_with_parent(signal.SIGKILL, parent)
        for number in GROUP:
            signal.signal(number, _go_on)
            signal.siginterrupt(number, False)  # noqa: FBT003 - its signature
        set_forks_apart(GROUP)
        channel.sendall(SIZE.pack(os.getpid()))
        request = _receive(channel)
        answer = _answer(request)
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # they are the handler's to close
                stream.flush()
        channel.sendall(SIZE.pack(len(answer)))
        channel.sendall(answer)


def _go_on(*_: object) -> None:
    """The consumer decides when this child ends. Not SIG_IGN, which the programs that a handler executes would keep."""


def _receive(channel: socket.socket) -> bytes:
    """One message. Raises ConnectionError at its end."""
    data = bytearray()
    wanted = SIZE.size
    while len(data) < wanted:
        piece = channel.recv(wanted - len(data))
        if not piece:
            raise ConnectionResetError
        data += piece
        if wanted == len(data) == SIZE.size:
            wanted += SIZE.unpack(data)[0]
    return bytes(data[SIZE.size :])


def _answer(request: bytes) -> bytes:
    """What became of the call, pickled: whether it succeeded, and its encoded result or its exception."""
    try:
        module, qualname, ctx, payload = pickle.loads(request)  # noqa: S301 - from our own consumer
        ATTEMPT.set(ctx)
        function: Any = importlib.import_module(module)
        for name in qualname.split("."):
            function = getattr(function, name)
        returned = function(ctx, payload)
        if inspect.isawaitable(returned):  # a plain function around an `async def`
            returned = asyncio.run(_awaited(returned))
        return answers.succeeded(encode(returned))
    except BaseException as error:  # noqa: BLE001 - everything a handler raises travels to the consumer
        return answers.failed(error)


async def _awaited(returned: Awaitable[Any]) -> Any:  # noqa: ANN401 - what a handler returns
    return await returned
