"""Runs here beside their rows: what was canceled or taken is stopped, whatever became of the message."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from random import Random

import pytest

from sluice.consumer.liveness.cancels import Compare
from sluice.consumer.periodic import every
from sluice.consumer.runs.running import Run, Stop
from sluice.core.task import FencingToken
from sluice.core.waiting import Stopping
from tests.unit.reconciling import Scene, key
from tests.unit.support import begun, claim, task_id, virtual


@virtual
async def test_a_run_whose_row_was_canceled_or_taken_is_stopped_and_no_other() -> None:
    s = Scene()
    kept, canceled, taken = s.runs(1, 2, 3)
    s.mine.difference_update({key(2), key(3)})
    s.mine.add((task_id(3), FencingToken(3)))

    assert await s.compare.step() == timedelta(seconds=1.5)

    assert [run.stop_reason for run in (kept, canceled, taken)] == [None, Stop.CANCELED, Stop.CANCELED]
    assert s.asked == [{key(1), key(2), key(3)}]


@virtual
async def test_nothing_is_asked_while_nothing_is_here() -> None:
    s = Scene()
    s.writing.add(key(1))
    s.mine.add(key(2))
    await s.compare.step()
    assert s.asked == []


@pytest.mark.parametrize("handed_in", ["before", "during"])
def test_a_run_whose_outcome_is_being_written_is_left_alone(handed_in: str) -> None:
    @virtual
    async def scene() -> None:
        s = Scene()
        [run] = s.runs(1)
        s.mine.clear()
        if handed_in == "before":
            s.writing.add(key(1))
        else:
            s.during_the_comparison = lambda: s.writing.add(key(1))
        await s.compare.step()
        assert not run.stopping

    scene()


@virtual
async def test_a_run_that_began_during_the_look_is_left_alone() -> None:
    s = Scene()
    s.runs(1)
    later: list[Run] = []
    s.during_the_comparison = lambda: later.extend(s.runs(2))
    await s.compare.step()
    assert not later[0].stopping


@virtual
async def test_a_run_that_ended_during_the_look_is_not_remembered_as_canceled() -> None:
    s = Scene()
    [run] = s.runs(1)
    s.mine.clear()
    s.during_the_comparison = lambda: s.running.remove(run)
    await s.compare.step()
    assert not s.running._canceled_early


@virtual
async def test_what_was_canceled_while_it_waited_for_its_slot_is_stopped_when_it_comes_there() -> None:
    s = Scene()
    s.prefetched = {key(1), key(2)}
    s.mine.add(key(2))
    await s.compare.step()
    for number, stopping in ((1, True), (2, False)):
        run = begun(claim(number))
        s.running.start(run, asyncio.sleep(0))
        assert run.stopping is stopping


@pytest.mark.parametrize("at", [5.0, 12.0, 25.0], ids=["first look", "second look", "rest"])
def test_a_cancel_whose_message_was_lost_is_seen_in_two_seconds_whatever_a_look_at_all_rows_costs(
    at: float,
) -> None:
    """Beside an old snapshot that look takes as long as all that this consumer has ever run: here nine seconds."""

    @virtual
    async def scene() -> None:
        s = Scene()
        [run] = s.runs(1)
        s.scan_takes = 9.0
        stopped = asyncio.Event()
        run.on_stop = lambda _: stopped.set()
        stopping = Stopping()
        async with asyncio.TaskGroup() as group:
            for name, step in (("reconcile", s.reconcile.step), ("compare", s.compare.step)):
                group.create_task(
                    every(name, step, stopping=stopping, report=s.events, random=Random(1)), name=name
                )
            await asyncio.sleep(at)
            s.mine.clear()
            async with asyncio.timeout(2):
                await stopped.wait()
            assert s.scans == (1 if at < 9 else 2)
            stopping.request()

    scene()


def test_a_short_lease_has_it_look_more_often() -> None:
    s = Scene()
    compare = Compare(
        store=s,
        running=s.running,
        prefetch=s.compare._prefetch,
        complete=s.compare._complete,
        often=timedelta(seconds=0.5),
    )
    assert compare.period == timedelta(seconds=0.5)
