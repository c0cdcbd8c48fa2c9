from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from sluice.core.errors import OutcomeUnknown, RowRefused
from sluice.core.outcome import Return, TimedOut
from tests.unit.support import claim, now, settled, task_id, virtual
from tests.unit.working import DONE, Scene


@virtual
async def test_one_suspect_at_a_time_runs_and_others_are_put_off() -> None:
    s = Scene()
    await s.start(1, 2, crashes=2)
    await s.start(3)

    assert [run.claim.id for run in s.runs] == [task_id(1), task_id(3)]
    [back] = s.writes
    assert isinstance(back, Return)
    assert (back.id, back.token) == (task_id(2), claim().token)
    assert s.capacity.free == 2

    await s.end(1, DONE)
    await s.start(4, crashes=2)
    assert len(s.runs) == 2, "the suspect still runs"

    assert (s.quarantine.may_begin, s.turns) == (False, 0)
    await s.end(0, DONE)
    assert (s.quarantine.may_begin, s.turns) == (True, 1), "the rows are scanned for the next one"
    await s.start(5, crashes=2)
    assert s.runs[-1].claim.id == task_id(5)


@virtual
async def test_a_suspect_runs_once_its_name_is_written() -> None:
    """Else reap would not know which of those that came with it killed this process (U2 reap)."""
    s = Scene()
    s.naming = asyncio.get_running_loop().create_future()
    await s.start(1, crashes=2)
    await s.start(2)
    assert s.named == [(s.lease.consumer, task_id(1))]
    assert [run.claim.id for run in s.runs] == [task_id(2)]
    await s.start(3, crashes=2)
    assert [write.id for write in s.writes] == [task_id(3)], (
        "one that waits for its name is a suspect already"
    )

    s.naming.set_result(True)
    await settled()
    assert [run.claim.id for run in s.runs] == [task_id(2), task_id(1)]
    assert len(s.named) == 1, "nobody else needs a name"


@virtual
async def test_a_suspects_thread_that_is_left_behind_keeps_the_next_suspect_waiting() -> None:
    """It may still kill this process, and the next one would be charged for it (U2 reap)."""
    s = Scene()
    s.left_behind = True
    await s.start(1, crashes=2)
    await s.end(0, TimedOut(timedelta(seconds=3)))
    await s.start(2, crashes=2)
    assert [write.id for write in s.writes] == [task_id(1), task_id(2)]
    assert len(s.runs) == 1

    s.runs[0].vacate()
    await s.start(3, crashes=2)
    assert s.runs[-1].claim.id == task_id(3)
    assert s.capacity.free == s.capacity.slots - 1


@virtual
async def test_a_suspects_thread_that_never_ends_keeps_the_next_one_waiting_for_a_minute() -> None:
    s = Scene()
    s.left_behind = True
    await s.start(1, crashes=2)
    await asyncio.sleep(100)
    await s.end(0, TimedOut(timedelta(seconds=100)))
    for number, pause in ((2, 59), (3, 2)):
        await asyncio.sleep(pause)
        s.lease.renewed(now())
        await s.start(number, crashes=2)
    assert [run.claim.id for run in s.runs] == [task_id(1), task_id(3)]

    first = s.runs[0].vacate
    await s.start(4, crashes=2)
    first()
    await s.start(5, crashes=2)
    assert len(s.runs) == 2, "the one that is over frees no other's place"


@pytest.mark.parametrize("answer", ["away", "refused", "dead", "draining"])
def test_a_suspect_that_may_not_run_any_more_when_it_is_named_goes_back(answer: str) -> None:
    @virtual
    async def scene() -> None:
        s = Scene()
        s.naming = asyncio.get_running_loop().create_future()
        await s.start(1, crashes=2)
        if answer == "away":
            s.naming.set_exception(OutcomeUnknown("PostgreSQL", "no answer"))
        elif answer == "refused":
            s.naming.set_exception(RowRefused("P0001", "a trigger of somebody's"))
        else:
            s.work.draining = answer == "draining"
            s.naming.set_result(answer != "dead")
        await settled()
        assert s.runs == []
        delay = timedelta() if answer == "draining" else timedelta(seconds=1)
        assert s.writes == [Return(task_id(1), claim().token, delay)]
        assert (len(s.running), s.capacity.free) == (0, s.capacity.slots)
        s.naming = None
        s.work.draining = False
        await s.start(2, crashes=2)
        assert [run.claim.id for run in s.runs] == [task_id(2)], "the next suspect's turn"

    scene()


@virtual
async def test_a_single_crash_makes_no_suspect() -> None:
    """All that a killed consumer held would run one at a time."""
    s = Scene()
    await s.start(1, 2, 3, crashes=1)
    assert len(s.runs) == 3
    assert s.writes == []


@pytest.mark.parametrize(("ran", "mean"), [(0.0, 0.1), (0.5, 0.5), (10.0, 1.0)])
@virtual
async def test_suspects_that_are_put_off_come_back_one_by_one_and_soon_after_a_short_one(
    ran: float, mean: float
) -> None:
    """With one delay for all of a dead consumer's tasks they ran one a second."""
    s = Scene()
    await s.start(1, crashes=2)
    await asyncio.sleep(ran)
    for number in range(2, 200):
        await s.start(number, crashes=2)
    delays = sorted(write.delay.total_seconds() for write in s.writes if isinstance(write, Return))
    assert len(delays) == 198
    assert delays[0] < 0.1 * mean
    assert 1.8 * mean < delays[-1] <= 2 * mean + 0.2
    assert max(b - a for a, b in pairwise(delays)) < 0.1 * mean
