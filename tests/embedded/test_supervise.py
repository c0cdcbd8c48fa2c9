from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.cli.address import reachable
from sluice.cli.supervise import keep as keeping
from sluice.cli.supervise.child import Child
from sluice.cli.supervise.keep import GaveUp, ending, keep
from sluice.cli.supervise.listen import check_address
from sluice.cli.supervise.lock import Held, hold
from sluice.core.errors import ConfigurationError
from tests.support.eventually import eventually
from tests.support.families import gone

SLEEP = "/bin/sleep"


class Part:
    """Ends with each of `statuses` in turn, then runs on."""

    name = "part"

    def __init__(self, *statuses: int, refusals: int = 0) -> None:
        self.starts = 0
        self._statuses = list(statuses)
        self._refusals = refusals

    async def start(self) -> None:
        if self._refusals:
            self._refusals -= 1
            raise ConfigurationError("not yet")
        self.starts += 1

    async def wait(self) -> int:
        if self._statuses:
            return self._statuses.pop(0)
        await asyncio.get_running_loop().create_future()
        raise AssertionError("it never ends")

    def last_words(self) -> str:
        return "the reason"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(keeping, "FIRST_PAUSE_TOLD", 0.0)


async def kept(part: Part, until: Callable[[], bool], *, settled: bool = False) -> list[str]:
    """What was said until `until` came true."""
    said: list[str] = []
    async with asyncio.TaskGroup() as group:
        task = group.create_task(keep(part, settled=lambda: settled, say=said.append))
        await eventually(until)
        task.cancel()
    return said


async def test_a_part_that_ends_is_started_again_and_that_is_said(hasty: None) -> None:
    part = Part(-9, 0)
    said = await kept(part, lambda: part.starts == 2)
    assert said == [
        "part was ended by SIGKILL: starting it again",
        "part ended with status 0: starting it again",
    ]


async def test_a_part_whose_start_is_refused_is_tried_again(hasty: None) -> None:
    part = Part(-9, refusals=2)
    said = await kept(part, lambda: part.starts == 1)
    assert said[1:] == ["not yet; trying again", "not yet; trying again"]


async def test_a_part_that_says_at_once_what_is_wrong_is_not_asked_again(hasty: None) -> None:
    part = Part(1)
    with pytest.raises(GaveUp, match="part ended with status 1: the reason"):
        await keep(part, settled=lambda: False, say=lambda _: None)
    assert part.starts == 0


async def test_a_part_that_dies_at_once_three_times_is_given_up(hasty: None) -> None:
    part = Part(-11, -11, -11)
    with pytest.raises(GaveUp, match="SIGSEGV"):
        await keep(part, settled=lambda: False, say=lambda _: None)
    assert part.starts == 2


async def test_a_mistake_that_is_told_later_on_is_tried_again_after_longer_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeping, "FIRST_PAUSE_TOLD", 0.001)
    monkeypatch.setattr(keeping, "LONGEST_PAUSE_TOLD", 0.003)
    part = Part(1, 2, 1, 1)
    said = await kept(part, lambda: part.starts == 4, settled=True)
    assert said == [
        "part ended with status 1: trying again in 0.001 s",
        "part ended with status 2: trying again in 0.002 s",
        *["part ended with status 1: trying again in 0.003 s"] * 2,
    ]


async def test_once_everything_runs_no_part_is_given_up(hasty: None) -> None:
    part = Part(1, 1, -11, -11, -11)
    await kept(part, lambda: part.starts == 5, settled=True)


async def test_a_part_that_fails_for_days_is_tried_still(hasty: None) -> None:
    part = Part(*[-9] * 1100)
    await kept(part, lambda: part.starts == 1100, settled=True)


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "ended with status 0"), (-15, "was ended by SIGTERM"), (-250, "was ended by signal 250")],
)
def test_endings_are_told_in_words(status: int, words: str) -> None:
    assert ending(status) == words


async def test_a_child_has_a_session_of_its_own_and_heeds_signals_that_we_ignore() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = await Child.start([SLEEP, "60"], environment={})
        assert os.getsid(child.pid) == child.pid
        assert await child.stop(signal.SIGINT) == -signal.SIGINT
        assert not child.alive
    finally:
        signal.signal(signal.SIGINT, before)


async def test_a_child_that_does_not_end_in_time_is_killed() -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    seen, theirs = os.pipe()
    child = await Child.start([sys.executable, "-c", stubborn], environment={}, output=theirs)
    os.close(theirs)
    await asyncio.to_thread(os.read, seen, 1)
    os.close(seen)
    assert await child.stop(stop_timeout=0.05) == -signal.SIGKILL
    assert gone(child.pid)


async def test_a_program_that_is_not_there_ends_with_a_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as output:
        child = await Child.start(["/no/such/program"], environment={}, output=output.fileno())
        assert await child.wait() == 1
    assert log.read_text() == "/no/such/program: No such file or directory\n"


async def test_children_are_started_from_the_main_thread_only() -> None:
    def elsewhere() -> None:
        asyncio.run(start())

    async def start() -> None:
        await Child.start([SLEEP, "60"], environment={})

    with pytest.raises(RuntimeError, match="main thread"):
        await asyncio.to_thread(elsewhere)


def test_a_lock_names_its_holder_and_goes_with_the_block(tmp_path: Path) -> None:
    with hold(tmp_path):
        with pytest.raises(Held) as second, hold(tmp_path):
            pytest.fail("two holders")
        assert second.value.pid == os.getpid()
    assert list(tmp_path.iterdir()) == []
    with hold(tmp_path):
        pass


def test_a_lock_file_of_a_killed_holder_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("123456\n")
    with hold(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_port_in_use_is_told_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} on 127.0.0.1 is in use: .*--port"):
            check_address("127.0.0.1", port)


def test_port_zero_becomes_a_free_one() -> None:
    assert check_address("127.0.0.1", 0) > 0


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_told(host: str) -> None:
    with pytest.raises(ConfigurationError, match="--host"):
        check_address(host, 0)


@pytest.mark.parametrize(
    ("host", "in_url"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("box", "box")],  # noqa: S104
)
def test_an_address_is_written_as_a_client_needs_it(host: str, in_url: str) -> None:
    assert reachable(host) == in_url
