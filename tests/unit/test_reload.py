from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from sluice.core.process.reload import reload
from sluice.core.process.supervisor import REFUSED
from tests.unit.supervising import Child, Machine
from tests.unit.support import now, settled, virtual


class Project:
    """Changes when the test says so, and what is said of it."""

    def __init__(self) -> None:
        self._changes: asyncio.Queue[list[str]] = asyncio.Queue()
        self.said: list[str] = []

    async def save(self) -> None:
        self._changes.put_nowait(["mine.py"])
        await settled()

    async def changes(self) -> AsyncIterator[list[str]]:
        while True:
            yield await self._changes.get()


async def reloaded(project: Project, act: Callable[[], Coroutine[None, None, None]]) -> int:
    """The status of a child that is kept while the project changes as `act` says."""
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(reload("consumer", changes=project.changes(), say=project.said.append))
        await settled()
        await act()
    return keeping.result()


@virtual
async def test_what_ends_the_watching_has_the_child_drain_and_is_raised(machine: Machine) -> None:
    async def broken() -> AsyncIterator[list[str]]:
        await asyncio.sleep(10)
        yield [str(1 // 0)]

    with pytest.raises(ZeroDivisionError):
        await reload("consumer", changes=broken(), say=lambda _: None)
    assert machine.children[0].numbers == [signal.SIGTERM]
    assert now() == pytest.approx(10.5)


@virtual
async def test_a_change_drains_the_child_and_another_takes_its_place(machine: Machine) -> None:
    project = Project()

    async def act() -> None:
        await asyncio.sleep(10)
        await project.save()
        await asyncio.sleep(10)
        await machine.signal()

    assert await reloaded(project, act) == 0
    assert [child.numbers for child in machine.children] == [[signal.SIGTERM], [signal.SIGTERM]]
    assert machine.births == pytest.approx([0, 10.5])
    assert machine.children[1].command == (
        *(sys.executable, "-P", "-m", "consumer"),
        *("--parent", str(os.getpid())),
    )
    assert project.said == []


@virtual
async def test_what_python_has_kept_of_a_changed_file_is_gone_before_the_next_child_begins(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file saved twice in a second, with as many bytes, would pass for the first save."""
    monkeypatch.chdir(tmp_path)
    compiled = Path(cache_from_source("mine.py"))
    compiled.parent.mkdir()
    project = Project()

    async def act() -> None:
        await project.save()
        compiled.touch()  # by the child that still lives
        await asyncio.sleep(10)
        assert not compiled.exists()
        await machine.signal()

    await reloaded(project, act)
    assert len(machine.children) == 2


@virtual
async def test_changes_during_a_drain_hurry_nobody_and_make_one_restart(machine: Machine) -> None:
    machine.on_term = 9
    project = Project()

    async def act() -> None:
        for _ in range(3):
            await project.save()
            await asyncio.sleep(1)
        await asyncio.sleep(20)
        await machine.signal()

    await reloaded(project, act)
    assert [child.numbers for child in machine.children] == [[signal.SIGTERM], [signal.SIGTERM]]


@virtual
async def test_a_change_while_the_child_is_just_being_started_is_not_missed(machine: Machine) -> None:
    machine.start_takes = 2
    project = Project()

    async def act() -> None:
        await asyncio.sleep(1)
        await project.save()
        await asyncio.sleep(20)
        await machine.signal()

    await reloaded(project, act)
    assert [child.signals[0] for child in machine.children] == pytest.approx([2, 21])


@virtual
async def test_a_child_whose_code_is_refused_is_started_again_at_the_next_change_only(
    machine: Machine,
) -> None:
    machine.plan = [(0.5, REFUSED), (0.5, REFUSED), (1e6, 0)]
    project = Project()

    async def act() -> None:
        await asyncio.sleep(3600)
        assert len(machine.children) == 1
        await project.save()
        await asyncio.sleep(3600)
        assert len(machine.children) == 2
        await project.save()
        await asyncio.sleep(60)
        await machine.signal()

    assert await reloaded(project, act) == 0
    assert machine.births == pytest.approx([0, 3600, 7200])
    assert project.said == ["waiting for the next save of a .py file"] * 2


@virtual
async def test_a_child_that_ends_for_another_reason_is_started_again_after_growing_pauses(
    machine: Machine,
) -> None:
    machine.plan = [*[(0.1, 1)] * 7, (5, -9), (1e6, 0)]

    async def act() -> None:
        await asyncio.sleep(200)
        await machine.signal()

    assert await reloaded(Project(), act) == 0
    gaps = [later - born for born, later in zip(machine.births, machine.births[1:], strict=False)]
    assert gaps == pytest.approx([1.1, 2.1, 4.1, 8.1, 16.1, 30.1, 30.1, 6])


@virtual
async def test_a_change_ends_such_a_pause(machine: Machine) -> None:
    machine.plan = [*[(0.1, 1)] * 5, (1e6, 0)]
    project = Project()

    async def act() -> None:
        await asyncio.sleep(17)
        await project.save()
        await asyncio.sleep(60)
        await machine.signal()

    await reloaded(project, act)
    assert machine.births[-1] == pytest.approx(17)


@pytest.mark.parametrize("plan", [(0.5, REFUSED), (0.5, 1)])
def test_a_stop_while_no_child_runs_ends_it(machine: Machine, plan: tuple[float, int]) -> None:
    @virtual
    async def scene() -> None:
        machine.plan = [plan]

        async def act() -> None:
            await asyncio.sleep(1)
            await machine.signal()

        assert await reloaded(Project(), act) == 0
        assert len(machine.children) == 1
        assert now() < 1.1

    scene()


@virtual
async def test_a_first_ctrl_c_during_a_restart_s_drain_hurries_nobody_and_a_second_does(
    machine: Machine,
) -> None:
    machine.on_term = 9
    project = Project()

    async def act() -> None:
        await project.save()
        await machine.signal(signal.SIGINT)
        assert machine.children[0].numbers == [signal.SIGTERM]
        await machine.signal(signal.SIGINT)

    assert await reloaded(project, act) == 0
    assert machine.children[0].numbers == [signal.SIGTERM, signal.SIGINT]
    assert len(machine.children) == 1


@virtual
async def test_a_refusal_at_the_stop_is_an_ordinary_failure(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Child, "after_term", REFUSED)
    assert await reloaded(Project(), machine.signal) == 1
