"""A fork server that is stopped, killed or signaled, and what the handlers of its children start by themselves."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from sluice.consumer.runs.cpu.children import Children
from sluice.consumer.runs.running import Stop
from sluice.core.outcome import Canceled, Failed, Failure, Outcome, Succeeded, TimedOut
from sluice.core.process.signals import GROUP
from sluice.core.task import JsonText
from tests.support.eventually import eventually
from tests.support.families import gone
from tests.unit import cpu_handlers
from tests.unit.forking import Scene, outcome_of, pids_told

HANG = 0.5
WENT_ON = Succeeded(JsonText('"went on"'))


@pytest.fixture
async def children() -> AsyncIterator[Children]:
    """One fork server that is ready."""
    children = Children([cpu_handlers.__name__], fork_timeout=HANG)
    assert isinstance(await outcome_of(children, cpu_handlers.answer), Succeeded)
    yield children
    await children.close()


def server_of(children: Children) -> psutil.Process:
    [server] = children._servers
    return psutil.Process(server._process.pid)


async def test_a_stopped_fork_server_holds_up_no_cancel_and_another_takes_its_place(
    children: Children, tmp_path: Path
) -> None:
    until = tmp_path / "until"
    canceled, neighbour = (
        Scene(children, cpu_handlers.go_on, say=str(tmp_path / "pids"), until=str(until)) for _ in range(2)
    )
    canceled.start()
    neighbour.start()
    await pids_told(tmp_path / "pids", 2)
    server = server_of(children)
    server.suspend()

    began = time.monotonic()
    canceled.run.stop(Stop.CANCELED)
    assert await canceled.end() == Canceled()
    assert time.monotonic() - began < HANG
    assert isinstance(await outcome_of(children, cpu_handlers.answer), Succeeded)

    until.touch()
    assert await neighbour.end() == WENT_ON, "what is wrong with its server is none of its business"
    await eventually(lambda: gone(server.pid))


async def test_a_child_that_dies_under_a_stopped_fork_server_fails_its_try(
    children: Children, tmp_path: Path
) -> None:
    s = Scene(children, cpu_handlers.run_on, say=str(tmp_path / "pid"))
    s.start()
    [pid] = await pids_told(tmp_path / "pid")
    server_of(children).suspend()
    os.kill(pid, signal.SIGKILL)
    assert await s.end() == Failed(Failure("ChildDied", "the child process died: nobody knows how"))


async def test_a_try_that_waits_for_a_stopped_fork_server_waits_no_longer_than_its_timeout(
    tmp_path: Path,
) -> None:
    children = Children([cpu_handlers.__name__], fork_timeout=600)
    assert isinstance(await outcome_of(children, cpu_handlers.answer), Succeeded)
    server_of(children).suspend()
    scenes = [Scene(children, cpu_handlers.run_on, say=str(tmp_path / "pid"), timeout=0.2) for _ in range(20)]
    for s in scenes:
        s.start()
    outcomes = [await s.end() for s in scenes]
    assert all(isinstance(outcome, TimedOut) for outcome in outcomes)
    await children.close()


async def test_tries_that_wait_for_a_fork_server_that_dies_are_served_by_another(
    children: Children,
) -> None:
    server = server_of(children)
    server.suspend()
    scenes = [Scene(children, cpu_handlers.answer) for _ in range(20)]
    for s in scenes:
        s.start()
    server.kill()
    assert all([isinstance(await s.end(), Succeeded) for s in scenes])


async def test_children_end_with_their_fork_server(children: Children, tmp_path: Path) -> None:
    s = Scene(children, cpu_handlers.run_on, say=str(tmp_path / "pid"))
    s.start()
    [pid] = await pids_told(tmp_path / "pid")
    server_of(children).kill()
    outcome = await s.end()
    assert isinstance(outcome, Failed)
    assert outcome.failure.type == "ChildDied"
    await eventually(lambda: gone(pid))


@pytest.mark.parametrize("number", GROUP)
async def test_a_signal_to_everybody_ends_no_child(
    children: Children, tmp_path: Path, number: signal.Signals
) -> None:
    s = Scene(children, cpu_handlers.go_on, say=str(tmp_path / "pid"), until=str(tmp_path / "until"))
    s.start()
    [pid] = await pids_told(tmp_path / "pid")
    server = server_of(children)
    os.killpg(server.pid, number)
    os.killpg(pid, number)
    assert isinstance(await outcome_of(children, cpu_handlers.answer), Succeeded)
    (tmp_path / "until").touch()
    assert await s.end() == WENT_ON
    assert server_of(children) == server


@pytest.mark.parametrize("method", ["fork", "spawn"])
async def test_a_handler_may_use_pools(children: Children, method: str) -> None:
    squares = Succeeded(JsonText("[[0,1,4],[0,1,4]]"))
    assert await outcome_of(children, cpu_handlers.use_pools, method=method) == squares


@pytest.mark.parametrize(
    ("stop", "expected"),
    [(Stop.CANCELED, Canceled()), (None, Succeeded(JsonText(str(cpu_handlers.OTHERS))))],
    ids=["canceled", "returned"],
)
async def test_all_that_a_handler_started_ends_with_it(
    children: Children, tmp_path: Path, stop: Stop | None, expected: Outcome
) -> None:
    told = tmp_path / "pids"
    s = Scene(children, cpu_handlers.start_others, say=str(told), runs_on=stop is not None)
    s.start()
    pids = await pids_told(told, cpu_handlers.OTHERS)
    if stop is not None:
        s.run.stop(stop)
    assert await s.end() == expected
    await eventually(lambda: all(map(gone, pids)))


async def test_what_a_handler_starts_heeds_signals_as_usual(children: Children) -> None:
    ended = Succeeded(JsonText("[-15,-15]"))
    assert await outcome_of(children, cpu_handlers.end_programs) == ended


async def test_a_start_that_the_system_refuses_fails_its_try_only(
    children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_of(children).kill()
    await eventually(lambda: not any(server.good for server in children._servers))

    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patched:
        patched.setattr("sluice.consumer.runs.cpu.fork_server.subprocess.Popen", refuse)
        outcome = await outcome_of(children, cpu_handlers.answer)
    assert isinstance(outcome, Failed)
    assert "Resource temporarily unavailable" in outcome.failure.message
    assert isinstance(await outcome_of(children, cpu_handlers.answer), Succeeded)
