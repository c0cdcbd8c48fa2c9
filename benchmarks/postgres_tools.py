"""pgbench and pg_test_fsync, from the wheel that the server came from: one run of a program, its figures as read.

Measures nothing by itself, and says what a wheel lacks.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.handlers import KIND
from benchmarks.preload import MESSAGE, PAYLOAD
from benchmarks.stage import ROOT, BrokenRun, Stage
from sluice.cli.embedded.binaries import POSTGRESQL, find

SELECT_ONE = "SELECT 1;\n"
INSERT_ONE = "".join(
    (
        "INSERT INTO tasks (id, kind, queue, priority, message, payload, max_attempts, timeout) ",
        f"VALUES (uuidv7(), '{KIND}', 'default', 5, '{MESSAGE}', '{PAYLOAD}', 5, 3600);\n",
    )
)
"""Our table with all its indexes, a payload of 200 bytes, a commit for each row."""
_FDATASYNC = re.compile(r"^\s*fdatasync\s+([\d.]+) ops/sec", re.MULTILINE)
_DONE = re.compile(r"number of transactions actually processed: (\d+)")
_FAILED = re.compile(r"number of failed transactions: (\d+)")
_RATE = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Pgbench:
    """What pgbench said of one script."""

    transactions: int
    rate: float


def program(name: str) -> Path | None:
    """A program beside the server's; None when this wheel has none of that name."""
    found = find(POSTGRESQL, None, ROOT).with_name(name)
    return found if found.exists() else None


async def flushes(seconds: int) -> float:
    """How often the disk that holds the servers' data takes 8 KiB with fdatasync, a second, `seconds` a method."""
    with tempfile.TemporaryDirectory(dir=ROOT / ".build" / "bench") as directory:
        said = await _run("pg_test_fsync", "-s", str(seconds), "-f", f"{directory}/written")
    found = _FDATASYNC.search(said)
    if found is None:
        raise BrokenRun(f"pg_test_fsync names no fdatasync: {said[-2000:]}")
    return float(found[1])


async def pgbench(stage: Stage, script: str, *, clients: int, seconds: int) -> Pgbench:
    """Run a script on the stage's database, prepared, from two threads at most. Raises BrokenRun on any failure."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        said = await _run(
            "pgbench",
            *("--no-vacuum", "--protocol=prepared", f"--file={file.name}", f"--time={seconds}"),
            *(f"--client={clients}", f"--jobs={min(2, clients)}", f"--dbname={stage.urls.database_url}"),
        )
    done, rate, failed = _DONE.search(said), _RATE.search(said), _FAILED.search(said)
    if done is None or rate is None or (failed and int(failed[1])):
        raise BrokenRun(f"pgbench tells no rate: {said[-2000:]}")
    return Pgbench(int(done[1]), float(rate[1]))


async def _run(name: str, *arguments: str) -> str:
    path = program(name)
    if path is None:
        raise BrokenRun(f"this wheel holds no {name}")
    child = await asyncio.create_subprocess_exec(
        path, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        said, _ = await child.communicate()
    except asyncio.CancelledError:
        child.kill()
        await child.wait()
        raise
    words = said.decode("utf-8", "replace")
    if child.returncode:
        raise BrokenRun(f"{name} ended with {child.returncode}: {words[-2000:]}")
    return words
