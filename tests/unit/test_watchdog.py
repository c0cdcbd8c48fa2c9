from __future__ import annotations

import asyncio

from sluice.core.events import LoopStalled
from sluice.core.task import FencingToken
from tests.unit.support import begun, claim, task_id
from tests.unit.watching import Scene

A, B = (task_id(1), FencingToken(1)), (task_id(2), FencingToken(1))


def test_a_loop_that_runs_is_nothing_to_tell() -> None:
    s = Scene()
    for _ in range(20):
        s.check(after=4.9)
        s.lease.renewed(s.clock())
    assert s.events.all == []
    assert s.ended == []


def test_a_loop_that_stands_still_is_reported_once_with_its_stack() -> None:
    s = Scene()
    s.check(after=4.9, ticking=False)
    assert s.events.all == []
    s.check(after=0.2, ticking=False)
    s.check(after=10, ticking=False)

    [told] = s.events.of(LoopStalled)
    assert told.seconds == 5.1
    assert "test_a_loop_that_stands_still" in told.stack


def test_a_loop_that_stands_still_again_is_reported_again() -> None:
    s = Scene()
    s.check(after=6, ticking=False)
    s.check(after=1)
    s.check(after=6, ticking=False)
    assert len(s.events.of(LoopStalled)) == 2


def test_a_loop_that_stands_still_for_ten_leases_ends_the_process() -> None:
    s = Scene()
    for _ in range(30):
        s.lease.renewed(s.clock())  # the beat goes on
        s.check(after=10, ticking=False)
    assert s.ended == []
    s.check(after=1, ticking=False)
    assert s.ended == ["the event loop stood still for ten leases"]


def test_handlers_that_outlive_the_trust_by_more_than_the_margin_end_the_process() -> None:
    s = Scene()
    s.held = {A}
    s.check(after=24.9)
    s.check(after=0.2)
    s.check(after=5)
    assert s.ended == []
    s.check(after=0.1)
    assert s.ended == ["handlers outlived the lease"]


def test_handlers_that_end_within_the_margin_do_not() -> None:
    s = Scene()
    s.held = {A, B}
    s.check(after=25)
    s.held = {B}
    s.check(after=4)
    s.held = set()
    s.check(after=60)
    assert s.ended == []


def test_a_handler_of_the_lost_lease_is_not_forgiven_because_the_next_one_is_trusted() -> None:
    s = Scene()
    s.held = {A}
    s.check(after=25)
    s.lease.ended()
    s.lease.renewed(s.clock())
    s.check(after=4)
    assert s.ended == []
    s.lease.renewed(s.clock())
    s.check(after=1.1)
    assert s.ended == ["handlers outlived the lease"]


def test_a_handler_of_a_former_id_is_found_though_the_new_one_was_trusted_before_the_look() -> None:
    """After a sleep of the machine: the beat came first, and registered anew."""
    s = Scene()
    s.held = {A}
    s.check()
    s.lease.ended()
    s.lease.renewed(s.clock())
    s.held, s.others = {A, B}, {A}
    s.check()
    s.check(after=4)
    assert s.ended == []
    s.lease.renewed(s.clock())
    s.check(after=1.1)
    assert s.ended == ["handlers outlived the lease"]


def test_handlers_that_start_under_the_next_lease_are_innocent() -> None:
    s = Scene()
    s.held = {A}
    s.check(after=25)
    s.lease.renewed(s.clock())
    s.held = {B}
    for _ in range(10):
        s.check(after=4)
        s.lease.renewed(s.clock())
    assert s.ended == []


def test_each_loss_of_trust_has_its_own_margin() -> None:
    s = Scene()
    s.check(after=25)
    s.lease.renewed(s.clock())
    s.check(after=20)
    s.held = {A}
    s.check(after=5)
    s.check(after=4)
    assert s.ended == []
    s.check(after=1.1)
    assert s.ended == ["handlers outlived the lease"]


async def test_the_task_whose_handler_holds_the_loop_is_named() -> None:
    s = Scene()
    s.working = [begun(claim(1)), begun(claim(2))]
    async with asyncio.TaskGroup() as group:
        s.working[0].task = group.create_task(asyncio.sleep(60))
        s.working[1].task = asyncio.current_task()
        s.check(after=6, ticking=False)
        s.working[0].task.cancel()
    [told] = s.events.of(LoopStalled)
    assert told.tasks == (f"test {task_id(2)}",)


async def test_all_that_run_are_named_while_none_of_their_own_tasks_holds_it() -> None:
    s = Scene()
    s.working = [begun(claim(number)) for number in range(12)]
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(asyncio.sleep(60))
        for run in s.working:
            run.task = waiting
        s.check(after=6, ticking=False)
        waiting.cancel()
    [told] = s.events.of(LoopStalled)
    assert told.tasks == tuple(f"test {task_id(number)}" for number in range(10))
