"""Processes and their descendants, which may end, and be waited for, between two looks at them."""

from __future__ import annotations

import psutil


def gone(pid: int) -> bool:
    """Whether the process has ended (a zombie that its parent has not looked at has)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def children(pid: int) -> set[int]:
    """The processes that it started and that run still."""
    return {child.pid for child in psutil.Process(pid).children() if not gone(child.pid)}


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
