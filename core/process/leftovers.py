"""What user code leaves running when one of our processes ends: other processes. Ends them, and waits for nothing.

Only Linux tells who started whom; elsewhere those are found that multiprocessing started.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sluice.core.clock import boottime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_PROC = Path("/proc")
_BEGAN = boottime()
"""What started before this is not ours: a script may start programs and then become this one (`exec`)."""
_ROUNDS = 10
"""One that is just being forked is found by the next look. Who forks faster than that is left."""


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    parent: int
    session: int
    started: float


def end_started() -> None:
    """Kill every process that this one or one below it started, but for those that have left its session.

    Who makes itself the leader of a session, as a daemon does, says that it is to live on.
    """
    from multiprocessing import active_children  # noqa: PLC0415 - few processes need it

    for child in active_children():
        with suppress(Exception):  # it may have ended, or be half started on another thread
            child.kill()
    _kill(_below_us)


def end_session(session: int) -> None:
    """Kill every process of a session whose leader, a child of ours, has ended."""
    if session in {0, os.getsid(0)}:  # 0 are the system's own, and those of other containers
        raise AssertionError(f"session {session} was no child's")
    _kill(lambda: [process for process in _processes() if process.session == session])


def _kill(find: Callable[[], Iterable[_Process]]) -> None:
    for _ in range(_ROUNDS):
        found = list(find())
        for process in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal.SIGKILL)
        if not found:
            return


def _below_us() -> Iterator[_Process]:
    """Of a session that we lead, every process is one; else those are found whose parents live."""
    me, session = os.getpid(), os.getsid(0)
    parents: dict[int, int] = {}
    others: list[_Process] = []
    for process in _processes():
        parents[process.pid] = process.parent
        if process.session == session and process.started >= _BEGAN and process.pid != me:
            others.append(process)
    for process in others:
        above = process.pid
        while session != me and above not in {me, 0}:
            above = parents.get(above, 0)
        if above:
            yield process


def _processes() -> Iterator[_Process]:
    """All that live, as /proc shows them."""
    ticks = os.sysconf("SC_CLK_TCK")
    for path in _PROC.glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            pid, _, rest = path.read_bytes().partition(b" ")
            state, parent, _, session, *more = rest[rest.rindex(b")") + 2 :].split()
            if state not in {b"Z", b"X"}:
                yield _Process(int(pid), int(parent), int(session), int(more[15]) / ticks)
