from __future__ import annotations

import asyncio
import decimal
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import pytest

from sluice.consumer.runs import running as module
from sluice.consumer.runs.running import Run, Running, Stop
from sluice.core.ids import new_consumer_id
from sluice.core.task import FencingToken
from tests.unit.support import begun, claim, nothing, now, settled, task_id, virtual


def a_run(number: int = 1, token: int = 1) -> Run:
    return begun(claim(number, token=FencingToken(token)))


async def until_stopped(running: Running, run: Run, told: list[Stop]) -> None:
    stopped = asyncio.Event()

    def stop(reason: Stop) -> None:
        told.append(reason)
        stopped.set()

    run.on_stop = stop
    if run.stopping:
        told.append(Stop.CANCELED)
        stopped.set()
    await stopped.wait()
    running.remove(run)


def started(running: Running, run: Run) -> list[Stop]:
    told: list[Stop] = []
    running.start(run, until_stopped(running, run, told))
    return told


def test_a_run_is_told_once_and_keeps_the_first_reason() -> None:
    run, told = a_run(), list[Stop]()
    run.on_stop = told.append

    run.stop(Stop.TIMED_OUT)
    run.stop(Stop.CANCELED)

    assert told == [Stop.TIMED_OUT]
    assert (run.stopping, run.stop_reason) == (True, Stop.TIMED_OUT)


def test_a_run_that_nothing_can_stop_yet_remembers_that_it_is_to() -> None:
    run = a_run()
    run.stop(Stop.DRAIN)
    assert run.stop_reason is Stop.DRAIN


@virtual
async def test_a_message_stops_the_run_that_it_names_and_no_other_try_of_the_task() -> None:
    running = Running()
    told = started(running, a_run(1, token=3))
    await settled()

    for other in (task_id(1), FencingToken(2)), (task_id(1), FencingToken(4)), (task_id(2), FencingToken(3)):
        running.stop(other, Stop.CANCELED)
    await settled()
    assert told == []

    running.stop((task_id(1), FencingToken(3)), Stop.CANCELED)
    await settled()
    assert told == [Stop.CANCELED]
    assert len(running) == 0


@virtual
async def test_a_cancel_that_outruns_its_claim_is_remembered_for_that_try_alone() -> None:
    running = Running()
    running.stop((task_id(1), FencingToken(3)), Stop.CANCELED)

    earlier = started(running, a_run(1, token=1))
    meant = started(running, a_run(1, token=3))
    await settled()
    assert (earlier, meant) == ([], [Stop.CANCELED])

    again = started(running, a_run(1, token=3))
    await settled()
    assert again == [], "it was for one run"
    running.stop_all(Stop.DRAIN)
    await settled()


@virtual
async def test_only_a_cancel_is_remembered() -> None:
    running = Running()
    for reason in (Stop.DRAIN, Stop.LEASE, Stop.TIMED_OUT):
        running.stop((task_id(1), FencingToken(1)), reason)

    told = started(running, a_run())
    await settled()

    assert told == []
    running.stop_all(Stop.DRAIN)
    await settled()


@virtual
async def test_no_more_early_cancels_are_remembered_than_a_bound_and_the_oldest_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 2)
    running = Running()
    for number in (1, 2, 3):
        running.stop((task_id(number), FencingToken(1)), Stop.CANCELED)

    told = [started(running, a_run(number)) for number in (1, 2, 3)]
    await settled()

    assert told == [[], [Stop.CANCELED], [Stop.CANCELED]]
    running.stop_all(Stop.DRAIN)
    await settled()


@virtual
async def test_what_runs_can_be_asked_and_waited_for() -> None:
    running = Running()
    await running.idle()
    runs = [a_run(1), a_run(2, token=5)]
    for run in runs:
        started(running, run)
    await settled()

    assert len(running) == 2
    assert running.keys() == {(task_id(1), 1), (task_id(2), 5)}
    assert (task_id(2), FencingToken(5)) in running
    assert (task_id(2), FencingToken(1)) not in running
    assert list(running.runs()) == runs

    async with asyncio.TaskGroup() as group:
        idle = group.create_task(running.idle())
        running.stop(runs[0].claim.key, Stop.CANCELED)
        await settled()
        assert not idle.done()
        running.stop_all(Stop.DRAIN)
    assert len(running) == 0


@virtual
async def test_all_are_stopped_also_when_a_stop_ends_a_run_at_once() -> None:
    running, told = Running(), list[int]()

    def stops(number: int, run: Run) -> Callable[[Stop], None]:
        def stop(_: Stop) -> None:
            told.append(number)
            running.remove(run)

        return stop

    for number in (1, 2, 3):
        run = a_run(number)
        running.start(run, asyncio.sleep(0))
        run.on_stop = stops(number, run)

    running.stop_all(Stop.LEASE)

    assert told == [1, 2, 3]
    await running.idle()


@virtual
async def test_runs_of_another_id_are_told_from_those_of_this_one() -> None:
    running, me, former = Running(), new_consumer_id(), new_consumer_id()
    for number, consumer in ((1, former), (2, me)):
        run = Run(claim(number), now(), consumer, nothing)
        started(running, run)
    assert running.keys_of_others(me) == {claim(1).key}


class Variables:
    """What runs see of a context variable and of the precision of decimals, and what each then sets."""

    def __init__(self) -> None:
        self.customer = ContextVar("customer", default="nobody")
        self.seen: list[tuple[str, int]] = []

    def look(self) -> None:
        self.seen.append((self.customer.get(), decimal.getcontext().prec))
        self.customer.set("somebody else's")
        decimal.getcontext().prec = 5


@virtual
async def test_a_run_sees_no_context_variable_of_the_run_that_starts_it() -> None:
    variables, running = Variables(), Running()

    async def life(run: Run, *following: Run) -> None:
        variables.look()
        for each in following:
            running.start(each, life(each))
        running.remove(run)

    first, second = a_run(1), a_run(2)
    running.start(first, life(first, second))
    await running.idle()
    await settled()
    assert variables.seen == [("nobody", 28)] * 2


def test_what_the_modules_of_handlers_have_set_holds_for_each_run_until_it_sets_it_anew(
    restored: None,
) -> None:
    variables = Variables()

    async def life(running: Running, run: Run) -> None:
        variables.look()
        running.remove(run)

    @virtual
    async def scene() -> None:
        variables.customer.set("all")
        decimal.getcontext().prec = 50
        running = Running()
        for number in range(3):
            run = a_run(number)
            running.start(run, life(running, run))
        await running.idle()

    scene()
    assert variables.seen == [("all", 50)] * 3


@pytest.fixture
def restored() -> Iterator[None]:
    prec = decimal.DefaultContext.prec
    yield
    decimal.DefaultContext.prec = prec
