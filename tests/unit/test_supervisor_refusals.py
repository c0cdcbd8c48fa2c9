from __future__ import annotations

import asyncio

import pytest

from tests.unit.supervising import Machine, supervised
from tests.unit.support import virtual


@virtual
async def test_children_that_refuse_at_once_are_not_asked_again(machine: Machine) -> None:
    machine.plan = [(0.5, 1)]

    async def nothing() -> None: ...

    assert await supervised(3, nothing) == 1
    assert len(machine.children) == 3


@virtual
async def test_a_refusal_after_the_family_was_well_is_asked_again(machine: Machine) -> None:
    machine.plan = [(5, 0), (0.5, 1), (0.5, 1), (1e6, 0)]

    async def act() -> None:
        await asyncio.sleep(60)
        await machine.signal()

    assert await supervised(1, act) == 0
    assert len(machine.children) == 4


@virtual
async def test_a_child_that_is_refused_at_once_is_replaced_while_another_lives(machine: Machine) -> None:
    machine.plan = [(1e6, 0), (0.5, 1), (1e6, 0)]

    async def act() -> None:
        await asyncio.sleep(60)
        await machine.signal()

    assert await supervised(2, act) == 0
    assert machine.births == pytest.approx([0, 0, 2.2])


@virtual
async def test_a_refused_replacement_is_replaced_although_no_child_had_ended_before(machine: Machine) -> None:
    machine.plan = [(3600, -9), (1e6, 0), (0.5, 1), (0.5, 1), (1e6, 0)]

    async def act() -> None:
        await asyncio.sleep(7200)
        await machine.signal()

    assert await supervised(2, act) == 0
    assert len(machine.children) == 5


@virtual
async def test_a_child_is_asked_again_beside_one_that_is_killed_at_once_over_and_over(
    machine: Machine,
) -> None:
    machine.plan = [(0.1, -9), (0.5, 1), *[(0.1, -9)] * 3, (1e6, 0)]

    async def act() -> None:
        await asyncio.sleep(60)
        await machine.signal()

    assert await supervised(2, act) == 0
    assert len(machine.children) == 7


@virtual
async def test_a_child_that_the_system_refuses_to_start_is_asked_for_again(machine: Machine) -> None:
    machine.refusals = [4, 5]

    async def act() -> None:
        await asyncio.sleep(5)
        machine.children[0].kill()
        await asyncio.sleep(60)
        await machine.signal()

    assert await supervised(3, act) == 0
    assert machine.births == pytest.approx([0, 0, 0, 6.4])
