"""How much of the machine others take: what they take, a service under test cannot use to recover."""

from __future__ import annotations

import time

import psutil


class Others:
    """Call it now and then: the share of all cores, since the last call, that went to processes not of this run."""

    def __init__(self) -> None:
        self._before = self._look()

    def __call__(self) -> float:
        """From 0 to 1."""
        now = self._look()
        (at, busy, ours), (began, busy_then, ours_then) = now, self._before
        self._before = now
        cores = psutil.cpu_count() or 1
        theirs = (busy - busy_then) - (ours - ours_then)
        return round(min(1.0, max(0.0, theirs / max(0.001, (at - began) * cores))), 3)

    def _look(self) -> tuple[float, float, float]:
        times = psutil.cpu_times()
        busy = sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
        us = psutil.Process()
        return time.monotonic(), busy, sum(_spent(process) for process in (us, *us.children(recursive=True)))


def _spent(process: psutil.Process) -> float:
    """Its own seconds and those of children that it has outlived."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    spent: float = times.user + times.system
    return spent + getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
