"""Who used the processors during a measurement: each of our programs, the servers, and everybody else."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

import psutil


class Meter:
    """`with Meter({"api": pid, ...}) as meter:`, then `meter.facts`. Children are counted with their parents.

    A program of ours that ended meanwhile was our child, so the kernel has added its time to ours.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self.facts: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._before = {name: _spent(pid) for name, pid in self._pids.items()}
        self._machine = psutil.cpu_times()
        self._own = _own()
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        seconds = time.monotonic() - self._began
        machine = psutil.cpu_times()
        own = _own() - self._own
        cpu = {name: max(0.0, _spent(pid) - self._before[name]) for name, pid in self._pids.items()}
        total = sum(machine[:8]) - sum(self._machine[:8])
        idle = machine.idle + machine.iowait - self._machine.idle - self._machine.iowait
        steal = machine.steal - self._machine.steal
        foreign = max(0.0, total - idle - steal - sum(cpu.values()) - own)
        self.facts = {
            "metered_seconds": round(seconds, 4),
            "cpu_seconds": {name: round(spent, 3) for name, spent in cpu.items()},
            "others": round(foreign / total, 3) if total else 0.0,
            "steal": round(steal / total, 3) if total else 0.0,
        }


def _own() -> float:
    """CPU seconds of this process and of its children that have been waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _spent(pid: int) -> float:
    """CPU seconds of a process and its descendants, those that have ended included. 0 for one that is gone."""
    spent = 0.0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        times = process.cpu_times()
        spent = times.user + times.system + times.children_user + times.children_system
        for child in process.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                theirs = child.cpu_times()
                spent += theirs.user + theirs.system
    return spent
