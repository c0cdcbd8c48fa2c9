"""Processes that user code forks from one of ours: what they must not share with it, and when they end.

A forked process has all that its parent had: Python's handlers, and the descriptor by which signals wake an event loop.
A signal to the child would be taken for the parent's, and drain it. Processes that execute a program are none of these.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

from sluice.core.process.parent_death import follow_parent

if TYPE_CHECKING:
    from collections.abc import Iterable


def set_forks_apart(numbers: Iterable[signal.Signals]) -> None:
    """From now on the signals `numbers` end a process that is forked from this one, as if nobody heeded them.

    SIGINT as well, and without a KeyboardInterrupt: raised before the forked function begins, it would be lost in a
    hook or caught by what called the function that forked, and the process would run on. Such a process also ends when
    this one does, in whatever way, unless it has made itself the leader of a session; and so do those that are forked
    from it in turn. Call it once per process.
    """
    forks = _Forks(numbers)
    os.register_at_fork(before=forks.before, after_in_parent=forks.in_parent, after_in_child=forks.in_child)


class _Forks:
    """What is done at a fork: `now` holds, for each thread, what it was before its fork."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._numbers = tuple(numbers)
        self._owner = os.getpid()
        self._session = os.getsid(0)
        self._now = threading.local()

    def before(self) -> None:
        """Hold signals back: one that met the child too early would still be taken for the parent's."""
        self._now.parent = os.getpid()
        self._now.mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

    def in_parent(self) -> None:
        """Let signals come again."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._now.mask)

    def in_child(self) -> None:
        """Begin anew, before anything else is done here."""
        if self._now.parent == self._owner:
            signal.set_wakeup_fd(-1)
            for number in self._numbers:
                signal.signal(number, signal.SIG_DFL)
        if os.getsid(0) == self._session:
            follow_parent(self._now.parent, self._session)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._now.mask)
