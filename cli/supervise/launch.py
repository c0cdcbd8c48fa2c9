"""Becomes one supervised program: drops privileges, binds its life to its parent's, executes. Chooses nothing.

A script, run by path with `python -I -S` (15 ms) and importing nothing of ours: its work belongs between fork
and exec, where a threaded Python may not run code of its own (`preexec_fn`).

Arguments: PARENT (pid), SIGNAL (sent when that parent dies), BOND (`auto` or `pipe`), FD (a pipe whose other end
only the parent holds), ACCOUNT (`uid:gid`, or `-` to stay who we are), then the command, by its full path.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Never returns: the command takes this process over, or it ends."""
    parent, number, bond, fd, account, *command = sys.argv[1:]
    prctl = find_prctl()  # while we may still read this Python's library
    if account != "-":
        become(*map(int, account.split(":")))
    if bond == "auto" and prctl is not None and prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0) == 0:
        os.close(int(fd))
    else:
        leave_watcher(int(fd), int(number))
        os.set_inheritable(int(fd), False)  # noqa: FBT003 - its signature
    if os.getppid() != int(parent):
        sys.exit(f"{command[0]}: not started, its parent has died")
    restore_signals()
    try:
        os.execv(command[0], command)  # noqa: S606 - to become the command is this script's whole duty
    except OSError as refused:
        sys.exit(f"{command[0]}: {refused.strerror}")


def become(uid: int, gid: int) -> None:
    """Drop every privilege, for good."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def find_prctl() -> Callable[..., int] | None:
    """Linux's call that asks for a signal at the parent's death, or None.

    What it sets survives exec but not a change of user, and means the parent's *thread* that forked.
    """
    try:
        from ctypes import CDLL  # some builds of Python lack it
    except ImportError:
        return None
    prctl: Callable[..., int] | None = getattr(CDLL(None), "prctl", None)
    return prctl


def leave_watcher(fd: int, number: int) -> None:
    """Leave a process behind that sends us `number` when the pipe ends. A byte instead means: we ended first."""
    target = os.getpid()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    if os.fork():  # twice, so that the command never meets a child that it did not make
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    if not os.read(fd, 1):
        try:
            os.kill(target, number)
        except ProcessLookupError:
            os._exit(0)
    os._exit(0)


def restore_signals() -> None:
    """Hand over the defaults: Python ignores SIGPIPE, a shell's background job ignores SIGINT, exec keeps both."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


if __name__ == "__main__":
    main()
