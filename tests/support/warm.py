"""A process that has imported the product once: `warm.py FD` forks a child for each request that socket FD brings.

A child becomes what `python -P -m MODULE` is after its imports. Imports nothing of the tests; handles no signal and
starts no thread, so that a child begins as a program does. It ends with the socket, and kills who is left then.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import sys
from typing import TypedDict

IMPORTED = (
    "sluice.consumer.main",
    "sluice.api.server",
    "sluice.cli.main",
    "sluice.cli.migrate",
    # What those import when they begin.
    "asyncpg.protocol.protocol",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "multiprocessing.util",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
)
TOLD = struct.Struct("!i")
"""A pid, and after the end of that process its exit status: below 0 it is a signal's number."""
MOST = 1 << 17
"""Bytes of a request."""


class Request(TypedDict):
    """What to run and where. Beside it come four files: who is told pid and exit status, stdin, stdout and stderr."""

    module: str
    arguments: list[str]
    environment: dict[str, str]
    cwd: str


class Parent:
    """Forks, reaps and tells."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, tuple[int, socket.socket]] = {}
        self._ready = select.poll()
        self._ready.register(control, select.POLLIN)

    def serve(self) -> Request:
        """Serve until the socket ends. Returns in the children alone, each with its request."""
        while True:
            for fd, _ in self._ready.poll():
                if fd != self._control.fileno():
                    self._reap(fd)
                elif (request := self._fork()) is not None:
                    return request

    def _fork(self) -> Request | None:
        said, files, _, _ = socket.recv_fds(self._control, MOST, 4)
        if not said:
            self._leave()
        told, *standard = files
        channel = socket.socket(fileno=told)
        pid = os.fork()
        if pid == 0:
            channel.close()
            self._forget()
            os.setsid()
            for number, file in enumerate(standard):
                os.dup2(file, number)
                os.close(file)
            sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr] # it is a text file
            request: Request = json.loads(said)
            return request
        for file in standard:
            os.close(file)
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = (pid, channel)
        self._ready.register(pidfd, select.POLLIN)
        _tell(channel, pid)
        return None

    def _reap(self, pidfd: int) -> None:
        pid, channel = self._children.pop(pidfd)
        self._ready.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        with channel:
            _tell(channel, os.waitstatus_to_exitcode(status))

    def _forget(self) -> None:
        """Close, in a child, what is its parent's."""
        self._control.close()
        for pidfd, (_, channel) in self._children.items():
            os.close(pidfd)
            channel.close()
        self._children.clear()

    def _leave(self) -> None:
        for pid, _ in self._children.values():
            os.kill(pid, signal.SIGKILL)
        sys.exit()


def _tell(channel: socket.socket, number: int) -> None:
    try:
        channel.sendall(TOLD.pack(number))
    except OSError:
        return  # nobody listens any more


def become(request: Request) -> None:
    """Run the module as this process, which was just forked."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = [request["module"], *request["arguments"]]
    sys.orig_argv[:] = [sys.executable, "-P", "-m", *sys.argv]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # else the first collection of each child copies every page
    become(Parent(socket.socket(fileno=int(sys.argv[1]))).serve())
