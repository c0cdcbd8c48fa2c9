"""A process that is forked from the warm parent begins and ends as one with an interpreter of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import launching
from tests.support.consuming import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every start is a cold one")
ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(ROOT), "OWN": "value"}
HOST = """
import asyncio, os, pathlib
from tests.support import launching

async def main():
    environment = {"PYTHONPATH": os.environ["PYTHONPATH"]}
    process = await launching.start(
        "tests.support.portrait", "stay", environment=environment, cwd=pathlib.Path("/")
    )
    print(process.pid, flush=True)
    await process.wait()

asyncio.run(main())
"""


async def portrait(how: str, directory: Path, *, cold: bool) -> tuple[dict[str, Any], int, launching.Process]:
    """How it began, how it ended, and the process."""
    process = await launching.start(
        "tests.support.portrait", how, environment=ENVIRONMENT, cwd=directory, cold=cold
    )
    assert process.stderr is not None
    said = json.loads(await process.stderr.readline())
    return said, await process.wait(), process


@pytest.mark.parametrize("how", ["0", "3", "SIGKILL", "SIGTERM", "SIGINT", "Ctrl-C"])
async def test_a_warm_start_is_as_a_cold_one(tmp_path: Path, how: str) -> None:
    await portrait("0", tmp_path, cold=False)  # what one child does is nothing to the next
    warm, cold = [await portrait(how, tmp_path, cold=cold) for cold in (False, True)]
    assert (type(warm[2]), type(cold[2])) == (launching.Forked, asyncio.subprocess.Process)
    assert warm[0] == cold[0]
    assert warm[1] == cold[1] == warm[2].returncode
    with pytest.raises(ProcessLookupError):
        warm[2].kill()


@pytest.mark.parametrize(("name", "value"), [("PYTHONHASHSEED", "0"), ("TZ", "UTC"), ("LC_ALL", "C")])
async def test_what_is_read_before_a_program_begins_asks_for_a_cold_start(
    tmp_path: Path, name: str, value: str
) -> None:
    process = await launching.start(
        "tests.support.portrait", "0", environment={**ENVIRONMENT, name: value}, cwd=tmp_path
    )
    assert isinstance(process, asyncio.subprocess.Process)
    assert await process.wait() == 0


def test_who_asked_for_children_leaves_none_however_it_ends() -> None:
    host = subprocess.Popen([sys.executable, "-c", HOST], env=ENVIRONMENT, stdout=subprocess.PIPE)
    with host:
        assert host.stdout is not None
        child = psutil.Process(int(host.stdout.readline()))
        parent = child.parent()
        host.kill()
    assert parent is not None
    assert parent.pid != host.pid
    assert psutil.wait_procs([child, parent], timeout=10)[1] == []
