"""A process that is forked from the warm parent begins and ends as one with an interpreter of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
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


@pytest.mark.parametrize("how", ["0", "3", "SIGKILL", "SIGTERM"])
async def test_a_command_that_a_shell_starts_begins_and_ends_as_its_module_does(
    tmp_path: Path, how: str
) -> None:
    files = launching.put_command(tmp_path / "portrait", "tests.support.portrait")
    process = await asyncio.create_subprocess_exec(
        *(tmp_path / "portrait", how),
        env=ENVIRONMENT,
        cwd=tmp_path,
        pass_fds=files,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    cold = await portrait(how, tmp_path, cold=True)
    told = json.loads(said)
    assert told | {"environment": None} == cold[0] | {"environment": None}
    assert told["environment"].items() >= cold[0]["environment"].items()
    assert process.returncode == cold[1]


async def test_a_signal_to_a_command_that_a_shell_starts_reaches_its_module(tmp_path: Path) -> None:
    files = launching.put_command(tmp_path / "portrait", "tests.support.portrait")
    process = await asyncio.create_subprocess_exec(
        *(tmp_path / "portrait", "stay"),
        env=ENVIRONMENT,
        pass_fds=files,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    assert await process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == -signal.SIGTERM


async def test_a_child_is_written_to_and_read_as_any_other(tmp_path: Path) -> None:
    pipe = asyncio.subprocess.PIPE
    warm, cold = [
        await launching.start(
            *("json.tool", "--compact"),
            environment=ENVIRONMENT,
            cwd=tmp_path,
            cold=cold,
            stdin=pipe,
            stdout=pipe,
        )
        for cold in (False, True)
    ]
    said = [await process.communicate(b'{"a": [1, 2]}') for process in (warm, cold)]
    assert said == [(b'{"a":[1,2]}\n', b"")] * 2
    assert warm.returncode == cold.returncode == 0


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
