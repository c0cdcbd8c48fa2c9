"""Ending with the parent, on Linux: so that a parent's kill -9 takes its children along. Elsewhere it does nothing."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LINUX = sys.platform == "linux"
# Loaded here: a forked process may load nothing.
_prctl = ctypes.CDLL(None, use_errno=True).prctl if _LINUX else None


def die_with_parent(number: signal.Signals, parent: int | None = None) -> None:
    """Have the kernel send `number` to this process when the thread that started it ends.

    `parent` is the pid that it should have: when that one is gone already, this process ends at once.
    """
    if _prctl is None:
        return
    _prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent ends. Reap them."""
    if _prctl is not None:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def follow_parent(parent: int, session: int) -> None:
    """End this process, which was just forked, when the process `parent` has, and not when only a thread of it has.

    Once it has left `session` it is meant to live on. It takes a signal that nobody else uses, and heeds it as Python
    heeds signals: not while a library computes.
    """
    if _prctl is None:
        return

    def look(*_: object) -> None:
        if os.getppid() != parent and os.getsid(0) == session:
            os.kill(os.getpid(), signal.SIGKILL)

    number = signal.SIGRTMAX - 3
    signal.signal(number, look)
    _prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    look()
