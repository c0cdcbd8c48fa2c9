"""Outcomes whose rows somebody else holds locked (R5 outcomes)."""

from __future__ import annotations

import asyncio

from sluice.core.events import RowsLocked, StoreLost
from tests.unit.completing import TOKEN, Scene, done, scene
from tests.unit.support import task_id, virtual


@scene
async def test_a_row_that_somebody_holds_locked_is_set_apart_and_its_neighbours_are_written_once_it_was_found(
    s: Scene,
) -> None:
    s.store.locks = {4}
    await s.put(done(99))
    await s.put(*map(done, range(1, 8)))
    await asyncio.sleep(3.1)
    assert set(s.store.written) == {1, 2, 3, 5, 6, 7, 99}
    assert (s.complete.waiting, s.complete.locked) == (1, 1)
    assert s.complete.keys() == {(task_id(4), TOKEN)}
    assert s.events.of(RowsLocked) == [RowsLocked(1)]
    assert s.events.of(StoreLost) == []

    sent = len(s.store.sent)
    await asyncio.sleep(30)
    assert len(s.store.sent) == sent, "only checks, which wait for nobody"
    assert all(check == [4] for check in s.store.checks[1:])
    assert 5 < len(s.store.checks) < 15, "ever more seldom"
    await s.put(*map(done, range(10, 20)))
    await asyncio.sleep(2.1)
    assert set(range(10, 20)) <= set(s.store.written)

    s.store.locks.clear()
    await asyncio.sleep(7)
    assert s.store.written[4] == done(4)
    assert (s.complete.waiting, s.complete.locked) == (0, 0)
    assert s.events.of(RowsLocked) == [RowsLocked(1)]


@scene
async def test_rows_that_are_locked_together_cost_one_wait(s: Scene) -> None:
    s.store.locks = set(range(1, 400))
    await s.put(done(999))
    await s.put(*map(done, range(1, 800)))
    await asyncio.sleep(3.1)
    assert len(s.store.written) == 401
    assert s.complete.locked == 399
    s.store.locks.clear()
    await asyncio.sleep(3)
    assert s.complete.waiting == 0


@scene
async def test_where_something_else_holds_a_statement_up_it_is_halved_until_the_row_to_blame_is_alone(
    s: Scene,
) -> None:
    s.store.stuck = {4}
    await s.put(done(99))
    await s.put(*map(done, range(1, 8)))
    await asyncio.sleep(12)
    assert set(s.store.written) == {1, 2, 3, 5, 6, 7, 99}
    assert s.complete.keys() == {(task_id(4), TOKEN)}
    sent = len(s.store.sent)
    await asyncio.sleep(60)
    assert 5 < len(s.store.sent) - sent < 15, "it holds up the others ever more seldom"
    s.store.stuck.clear()


@virtual
async def test_closing_waits_for_a_row_that_is_locked_too() -> None:
    s = Scene()
    s.store.locks = {1}
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(s.complete.run())
        await s.put(done(1))
        s.complete.close()
        await asyncio.sleep(20)
        assert not writing.done()
        s.store.locks.clear()
    assert s.store.written == {1: done(1)}
