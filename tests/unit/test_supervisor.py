from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any

import pytest
from pydantic import SecretStr

from sluice.consumer import processes
from sluice.core.errors import StoreUnavailable
from sluice.core.process import supervisor
from sluice.core.settings import ConsumerSettings
from tests.unit.supervising import Child, Machine, supervised
from tests.unit.support import now, settled, virtual


@virtual
async def test_children_are_told_who_their_parent_is_and_nothing_of_the_current_directory(
    machine: Machine,
) -> None:
    await supervised(2, machine.signal)
    assert [child.command for child in machine.children] == [
        (sys.executable, "-P", "-m", "consumer", "--parent", str(os.getpid()))
    ] * 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_handed_on_and_the_parent_ends_when_its_children_have(
    machine: Machine, number: int
) -> None:
    @virtual
    async def scene() -> None:
        async def act() -> None:
            await asyncio.sleep(10)
            await machine.signal(number)

        assert await supervised(3, act) == 0
        assert now() == pytest.approx(10.5, abs=0.01)
        assert [len(child.signals) for child in machine.children] == [1, 1, 1]

    scene()


@virtual
async def test_a_parent_that_is_told_twice_to_stop_hurries_nobody(machine: Machine) -> None:
    machine.on_term = 9
    async with asyncio.TaskGroup() as group:
        supervising = group.create_task(supervisor.supervise(1, "consumer", supervised=True))
        await settled()
        await machine.signal(signal.SIGTERM)
        await machine.signal(signal.SIGTERM)
        assert machine.children[0].numbers == [signal.SIGTERM]
        await machine.signal(signal.SIGINT)
    assert supervising.result() == 0
    assert machine.children[0].numbers == [signal.SIGTERM, signal.SIGINT]


@virtual
async def test_a_second_signal_is_handed_on_too(machine: Machine) -> None:
    machine.on_term = 9

    async def act() -> None:
        await machine.signal()
        await machine.signal()

    await supervised(1, act)
    assert machine.children[0].numbers == [signal.SIGTERM, signal.SIGINT]


@virtual
async def test_a_child_that_dies_is_replaced_within_two_seconds_however_often(machine: Machine) -> None:
    machine.plan = [(10, -9), *[(0.1, -9)] * 8, (1e6, 0)]

    async def act() -> None:
        await asyncio.sleep(60)
        await machine.signal()

    assert await supervised(1, act) == 0
    deaths = [10.0, *(born + 0.1 for born in machine.births[1:])]
    gaps = [born - died for died, born in zip(deaths, machine.births[1:], strict=False)]
    assert len(gaps) == 9
    assert gaps == pytest.approx([0.2, 0.4, 0.8, *[1.5] * 6])


@virtual
async def test_a_child_that_lasted_a_while_is_replaced_soon_again(machine: Machine) -> None:
    machine.plan = [(5, 0), (0.1, 0), (0.1, 0), (5, 0), (1e6, 0)]

    async def act() -> None:
        await asyncio.sleep(60)
        await machine.signal()

    await supervised(1, act)
    assert machine.births[4] - (machine.births[3] + 5) == pytest.approx(0.2)


@virtual
async def test_a_stop_during_the_pause_before_a_replacement_starts_no_other(machine: Machine) -> None:
    machine.plan = [(5, -9), (1e6, 0)]

    async def act() -> None:
        await asyncio.sleep(5.1)
        await machine.signal()

    assert await supervised(1, act) == 0
    assert len(machine.children) == 1
    assert now() < 5.2


@virtual
async def test_a_child_that_is_just_being_started_hears_of_the_stop(machine: Machine) -> None:
    machine.start_takes = 2

    async def act() -> None:
        await asyncio.sleep(1)
        await machine.signal()

    assert await supervised(1, act) == 0
    assert machine.children[0].signals == [2]


@virtual
async def test_a_child_that_has_ended_unheard_keeps_no_other_from_being_told(machine: Machine) -> None:
    machine.on_term = None
    machine.plan = [(10, 0), (10, 0)]

    async def act() -> None:
        await asyncio.sleep(9)
        await machine.signal()

    assert await supervised(2, act) == 0
    assert [len(child.signals) for child in machine.children] == [1, 1]


@pytest.mark.parametrize(
    ("after_term", "status"), [(0, 0), (1, 1), (2, 2), (-signal.SIGTERM, 0), (-signal.SIGKILL, 1)]
)
def test_the_worst_of_the_children_s_endings_is_the_parent_s(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, after_term: int, status: int
) -> None:
    monkeypatch.setattr(Child, "after_term", after_term)

    @virtual
    async def scene() -> None:
        assert await supervised(2, machine.signal) == status

    scene()


@virtual
async def test_what_a_look_finds_is_told_by_the_parent_however_long_it_took(machine: Machine) -> None:
    async def check() -> None:
        await asyncio.sleep(30)
        raise StoreUnavailable("PostgreSQL", "away")

    with pytest.raises(StoreUnavailable, match="away"):
        await supervisor.supervise(2, "consumer", check=check())
    assert machine.children == []


@virtual
async def test_children_start_after_a_look_that_found_nothing(machine: Machine) -> None:
    async def act() -> None:
        await asyncio.sleep(10)
        await machine.signal()

    async with asyncio.TaskGroup() as group:
        supervising = group.create_task(supervisor.supervise(2, "consumer", check=asyncio.sleep(3)))
        await act()
    assert supervising.result() == 0
    assert machine.births == [3, 3]


@virtual
async def test_a_stop_ends_the_look_and_starts_no_child(machine: Machine) -> None:
    async with asyncio.TaskGroup() as group:
        supervising = group.create_task(supervisor.supervise(2, "consumer", check=asyncio.sleep(30)))
        await settled()
        await machine.signal()
    assert (supervising.result(), machine.children) == (0, [])
    assert now() < 0.1


@virtual
async def test_a_consumer_s_children_serve_the_queues_that_it_was_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    async def supervise(*arguments: Any, supervised: bool, check: Coroutine[None, None, None]) -> int:
        check.close()
        asked.append((*arguments, supervised))
        return 7

    monkeypatch.setattr(supervisor, "supervise", supervise)
    settings = ConsumerSettings(database_url=SecretStr("postgresql://h/d"), redis_url=SecretStr(""))
    for n, queues, has_parent in ((3, "a,b", True), (1, None, False)):
        status = processes.supervise(
            n, settings, {}, queues=queues, supervised=has_parent, report=lambda _: None
        )
        assert await status == 7
    assert asked == [
        (3, "sluice.consumer", ["--queues", "a,b"], True),
        (1, "sluice.consumer", [], False),
    ]
