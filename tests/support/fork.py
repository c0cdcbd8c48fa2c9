"""`fork.py FD MODULE ARGUMENT ...`: as `python -P -m MODULE ARGUMENT ...`, forked from the warm parent at socket FD.

For commands that a shell starts. Ends as the child does, and hands the signals on that end it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
from pathlib import Path

_TOLD = struct.Struct("!i")


def main(fd: str, module: str, *arguments: str) -> int:
    """The child's exit status."""
    ours, theirs = socket.socketpair()
    asked = {"module": module, "arguments": arguments, "environment": {**os.environ}, "cwd": str(Path.cwd())}
    parent = socket.socket(fileno=int(fd))
    socket.send_fds(parent, [json.dumps(asked).encode()], [theirs.fileno(), 0, 1, 2])
    theirs.close()
    (pid,) = _TOLD.unpack(ours.recv(_TOLD.size, socket.MSG_WAITALL))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: os.kill(pid, number))
    (status,) = _TOLD.unpack(ours.recv(_TOLD.size, socket.MSG_WAITALL))
    if status < 0:
        if -status != signal.SIGKILL:  # it has no other handler
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return int(status)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
