from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from sluice.consumer.handlers.registry import Mode
from sluice.consumer.lease import Lease
from sluice.consumer.runs.quarantine import LINGERS
from sluice.consumer.runs.running import Stop
from sluice.consumer.runs.work import Work
from sluice.core.events import GivenBack, StepFailed
from sluice.core.outcome import (
    Completion,
    Failed,
    Failing,
    Interrupted,
    Outcome,
    Reason,
    Return,
    Snoozed,
    TimedOut,
    Write,
)
from sluice.core.task import JsonText, Kind
from tests.unit.support import claim, now, settled, task_id, virtual
from tests.unit.working import BROKEN, DONE, Scene

TIMED_OUT = TimedOut(timedelta(seconds=60))

pytestmark = pytest.mark.usefixtures("made")


@virtual
async def test_every_claim_is_started_in_the_slot_that_was_taken_for_it() -> None:
    s = Scene()
    await s.start(1, 2)
    assert [run.claim.id for run in s.runs] == [task_id(1), task_id(2)]
    assert (len(s.running), s.capacity.free) == (2, 2)
    assert s.work.kinds == {"LOOP", "THREAD", "PROCESS"}


@pytest.mark.parametrize(
    ("outcome", "write"),
    [
        (DONE, Completion(task_id(1), claim().token, JsonText('"done"'))),
        (
            Failed(BROKEN, timedelta(seconds=3)),
            Failing(task_id(1), claim().token, BROKEN, timedelta(seconds=3)),
        ),
        (Failed(BROKEN, final=True), Failing(task_id(1), claim().token, BROKEN, None)),
        (Snoozed(timedelta(seconds=4)), Return(task_id(1), claim().token, timedelta(seconds=4))),
        (Interrupted(), Return(task_id(1), claim().token)),
    ],
)
def test_every_outcome_is_one_write_under_the_claim_s_token(outcome: Outcome, write: Write) -> None:
    @virtual
    async def scene() -> None:
        s = Scene()
        await s.start(1)
        await asyncio.sleep(2)
        await s.end(0, outcome)

        assert s.writes == [write]
        assert (len(s.running), s.capacity.free) == (0, 4)
        assert s.capacity._mean == pytest.approx(2, abs=0.01)

    scene()


@virtual
async def test_nothing_starts_during_a_drain_or_without_trust_and_what_was_claimed_goes_back() -> None:
    s = Scene()
    s.work.draining = True
    await s.start(1)
    s.work.draining = False
    await asyncio.sleep(25)
    await s.start(2)

    assert s.runs == []
    assert s.writes == [Return(task_id(1), claim().token), Return(task_id(2), claim().token)]
    assert s.events.all == [GivenBack(1, why=Reason.DRAINING), GivenBack(1, why=Reason.LEASE)]
    assert s.capacity.free == 4


@pytest.mark.parametrize(
    ("meanwhile", "why"),
    [
        (lambda work, _: setattr(work, "draining", True), Reason.DRAINING),
        (lambda _, lease: setattr(lease, "_trusted_until", float("-inf")), Reason.LEASE),
        (lambda _, lease: (lease.ended(), lease.renewed(now())), Reason.LEASE),
    ],
    ids=["a stop", "the trust ends", "declared dead and back"],
)
def test_what_came_while_a_neighbour_of_the_claim_blocked_the_loop_is_seen_before_a_handler_starts(
    meanwhile: Callable[[Work, Lease], object], why: Reason
) -> None:
    @virtual
    async def scene() -> None:
        s = Scene()
        s.capacity.take(1)
        s.work.start([claim(1, kind=Kind("LOOP"))], s.lease.consumer)
        meanwhile(s.work, s.lease)
        await settled()

        assert s.runs == []
        assert s.writes == [Return(task_id(1), claim().token)]
        assert s.events.all == [GivenBack(1, why=why)]
        assert (s.capacity.free, len(s.running)) == (4, 0)

    scene()


@pytest.mark.parametrize("mode", [mode.name for mode in Mode])
def test_what_was_canceled_before_it_starts_calls_no_handler(mode: str) -> None:
    @virtual
    async def scene() -> None:
        s = Scene()
        s.running.stop(claim(1).key, Stop.CANCELED)
        await s.start(1, 2, kind=Kind(mode))
        assert [run.claim.id for run in s.runs] == [task_id(2)]
        assert s.writes == [Return(task_id(1), claim().token, canceled=True)]
        assert (s.capacity.free, len(s.running)) == (3, 1)
        await s.end(0, DONE)

    scene()


@virtual
async def test_what_never_had_a_slot_goes_back_without_one() -> None:
    s = Scene()
    s.work.give_back([claim(1), claim(2)], Reason.FULL)
    assert s.writes == [Return(task_id(1), claim().token), Return(task_id(2), claim().token)]
    assert s.events.all == [GivenBack(2, why=Reason.FULL)]
    assert s.capacity.free == 4


@virtual
async def test_a_suspect_that_was_canceled_before_it_starts_is_not_named() -> None:
    s = Scene()
    s.running.stop(claim(1).key, Stop.CANCELED)
    await s.start(1, crashes=2)
    assert (s.named, s.runs) == ([], [])
    assert s.writes == [Return(task_id(1), claim().token, canceled=True)]
    await s.start(2, crashes=2)
    assert [run.claim.id for run in s.runs] == [task_id(2)]
    await s.end(0, DONE)


@virtual
async def test_what_was_claimed_under_an_id_that_was_declared_dead_goes_back() -> None:
    s = Scene()
    former = s.lease.consumer
    s.lease.ended()
    s.lease.renewed(now())
    s.capacity.take(2)
    s.work.start([claim(1, kind=Kind("LOOP")), claim(2, kind=Kind("LOOP"))], former)
    await settled()
    assert s.runs == []
    assert s.writes == [Return(task_id(1), claim().token), Return(task_id(2), claim().token)]
    assert s.capacity.free == 4


@virtual
async def test_a_fault_of_ours_costs_a_task_nothing() -> None:
    s = Scene()
    await s.start(1)
    await s.end(0, RuntimeError("a bug"))

    assert s.writes == [Return(task_id(1), claim().token, timedelta(seconds=1))]
    assert len(s.running) == 0
    [told] = s.events.of(StepFailed)
    assert "a bug" in told.reason


@virtual
async def test_a_handler_that_is_left_behind_has_its_outcome_written_and_keeps_its_slot() -> None:
    s = Scene()
    await s.start(1)
    s.leave(s.runs[0], TIMED_OUT)
    await settled()

    [write] = s.writes
    assert isinstance(write, Failing)
    assert (write.id, write.token, write.failure) == (task_id(1), claim().token, TIMED_OUT.failure)
    assert (len(s.running), s.capacity.free) == (0, 3)
    with pytest.raises(RuntimeError, match="this run has ended"):
        await s.contexts[0].session()

    await s.end(0, RuntimeError("at last"))
    assert s.writes == [write]
    assert (len(s.running), s.capacity.free) == (0, 4)


@virtual
async def test_a_suspect_that_is_left_behind_keeps_the_next_one_waiting_a_minute_at_most() -> None:
    s = Scene()
    await s.start(1, crashes=2)
    s.leave(s.runs[0], TIMED_OUT)
    await settled()

    await s.start(2, crashes=2)
    assert len(s.runs) == 1
    await asyncio.sleep(LINGERS.total_seconds() + 1)
    s.lease.renewed(now())
    await s.start(3, crashes=2)
    assert [run.claim.id for run in s.runs] == [task_id(1), task_id(3)]
    for at in range(2):
        await s.end(at, DONE)
