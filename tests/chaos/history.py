"""What happened, as every process wrote it down: JSON lines, flushed one by one, on the machine's monotonic clock."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.chaos.evidence import Complaint

EXPECTED = ("lease.lost", "loop.stalled")
"""Errors that a fault brings along: a lease that ran out, a process that stood still."""


class History:
    """One process's file. Each event is one write, so that a killed process loses none that it noted."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def add(self, event: str, **facts: Any) -> None:
        """Note an event now."""
        line = {"t": time.monotonic_ns(), "event": event, **facts}
        os.write(self._file, json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        """Nothing more is noted."""
        os.close(self._file)


def histories(directory: Path) -> list[Path]:
    """The files of a run: the driver's, and one for each consumer that ran a handler."""
    return [directory / "driver.jsonl", *sorted(directory.glob("runs-*.jsonl"))]


def complaints(directory: Path) -> list[Complaint]:
    """What the processes of a run wrote that no process of ours may ever write."""
    found: list[Complaint] = []
    for path in sorted(directory.glob("log-*.jsonl")):
        member = path.stem.removeprefix("log-")
        plain: list[str] = []
        for line in path.read_text(errors="replace").splitlines():
            if not line.startswith("{"):
                plain.append(line)
                continue
            said = json.loads(line)
            if said.get("level") in {"error", "critical"} and said["event"] not in EXPECTED:
                found.append(Complaint(member, f"{said['event'].strip()}: {_reason(said)}"))
        if any("Traceback" in line for line in plain):
            errors = [line.strip(" |") for line in plain if "Error" in line]
            found.append(Complaint(member, f"it ended with a traceback: {(errors or plain)[-1]}"))
    return found


def _reason(said: dict[str, Any]) -> str:
    told = str(said.get("reason") or said.get("exception") or said.get("stack") or "")
    return told.strip().rpartition("\n")[2]


def read(files: Iterable[Path]) -> list[dict[str, Any]]:
    """All events of these files in the order in which they happened. A last line that was cut short is left out."""
    events: list[dict[str, Any]] = []
    for path in files:
        lines = path.read_bytes().split(b"\n")
        events += [json.loads(line) for line in lines[:-1] if line]
    events.sort(key=lambda event: event["t"])
    return events
