from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from sluice.consumer.runs.cpu.children import Children
from sluice.consumer.runs.running import Stop
from sluice.core.attempts import TaskRetrying
from sluice.core.outcome import Canceled, Failed, Failure, Interrupted, Outcome, Snoozed, Succeeded, TimedOut
from sluice.core.task import JsonText
from tests.support.eventually import eventually
from tests.unit import cpu_handlers
from tests.unit.forking import Scene, outcome_of, pids_told


@pytest.fixture(scope="module")
async def children() -> AsyncIterator[Children]:
    """One fork server for all of these tests."""
    children = Children([cpu_handlers.__name__])
    yield children
    await children.close()


async def test_a_cpu_bound_handler_runs_in_a_process_of_its_own_with_a_plain_context(
    children: Children,
) -> None:
    outcomes = [await outcome_of(children, cpu_handlers.answer) for _ in range(2)]

    answers = [orjson.loads(outcome.result or "") for outcome in outcomes if isinstance(outcome, Succeeded)]
    assert [(answer["try"], answer["canceled"]) for answer in answers] == [(2, False)] * 2
    assert len({os.getpid(), *(answer["pid"] for answer in answers)}) == 3


async def test_a_handler_may_stand_in_a_class(children: Children) -> None:
    outcome = await outcome_of(children, cpu_handlers.Nested.act, a=1)
    assert outcome == Succeeded(JsonText("\"test {'a': 1}\""))


async def test_what_a_function_around_an_async_def_returns_is_awaited_there(children: Children) -> None:
    outcome = await outcome_of(children, cpu_handlers.around_an_async_def, a=1)
    assert outcome == Succeeded(JsonText('{"a":1,"try":2}'))
    failed = await outcome_of(children, cpu_handlers.around_an_async_def, fails=True)
    assert failed == Failed(Failure("ValueError", "broken in a while"))


async def test_the_largest_result_comes_through_and_a_larger_one_fails_for_good(children: Children) -> None:
    largest = await outcome_of(children, cpu_handlers.a_megabyte)
    assert isinstance(largest, Succeeded)
    assert len(largest.result or "") == 1024 * 1024

    too_large = await outcome_of(children, cpu_handlers.too_much)
    assert isinstance(too_large, Failed)
    assert (too_large.failure.type, too_large.final) == ("UnstorableResult", True)


@pytest.mark.parametrize(
    ("function", "failure"),
    [
        (cpu_handlers.broken, Failure("ValueError", "broken")),
        (cpu_handlers.leave, Failure("SystemExit", "3")),
        (cpu_handlers.broken_untransportably, Failure("RuntimeError", "TwoArguments: one and two")),
        (cpu_handlers.broken_hugely, Failure("RuntimeError", "ValueError: " + "x" * (2048 - 12))),
    ],
)
async def test_what_it_raises_fails_the_try_and_the_log_shows_where_it_was_raised(
    children: Children, function: Callable[..., Any], failure: Failure
) -> None:
    s = Scene(children, function)
    s.start()
    assert await s.end() == Failed(failure)

    [told] = s.events.of(TaskRetrying)
    traceback = told.traceback or ""
    assert "sluice/consumer" not in traceback
    assert "in the child process" not in traceback
    assert function is cpu_handlers.broken_hugely or "cpu_handlers.py" in traceback.splitlines()[1]


async def test_the_traceback_of_an_async_def_in_a_child_begins_there_as_well(children: Children) -> None:
    s = Scene(children, cpu_handlers.around_an_async_def, fails=True)
    s.start()
    await s.end()

    [told] = s.events.of(TaskRetrying)
    frames = [line for line in (told.traceback or "").splitlines() if line.startswith("  File ")]
    assert [line.rpartition(" in ")[2] for line in frames] == ["_in_a_while"]


async def test_it_may_say_more_than_that_it_failed(children: Children) -> None:
    assert [
        await outcome_of(children, function)
        for function in (cpu_handlers.retry, cpu_handlers.snooze, cpu_handlers.discard)
    ] == [
        Failed(Failure("Retry", "busy"), timedelta(seconds=7)),
        Snoozed(timedelta(seconds=9)),
        Failed(Failure("Discard", "gone"), final=True),
    ]


@pytest.mark.parametrize(
    ("which", "outcome"),
    [
        ("gone", Failed(Failure("Discard", "Gone: one and two"), final=True)),
        ("busy", Failed(Failure("Retry", "Busy: one and two"), timedelta(seconds=7))),
        ("later", Snoozed(timedelta(minutes=90))),
        ("hasty", Failed(Failure("Retry", "Hasty: one and two"))),
    ],
)
async def test_classes_derived_from_those_mean_the_same_although_they_cannot_travel(
    children: Children, which: str, outcome: Outcome
) -> None:
    assert await outcome_of(children, cpu_handlers.raise_one_of_its_own, which=which) == outcome


@pytest.mark.parametrize(
    ("function", "how"), [(cpu_handlers.die, "exit status 7"), (cpu_handlers.be_killed, "signal SIGKILL")]
)
async def test_a_child_that_dies_fails_its_own_try_only(
    children: Children, function: Callable[..., Any], how: str
) -> None:
    neighbour = Scene(children, cpu_handlers.answer)
    neighbour.start()
    assert await outcome_of(children, function) == Failed(
        Failure("ChildDied", f"the child process died: {how}")
    )
    assert isinstance(await neighbour.end(), Succeeded)


async def test_only_the_consumer_decides_when_a_child_ends(children: Children) -> None:
    assert await outcome_of(children, cpu_handlers.be_asked_to_end) == Succeeded(JsonText('"still here"'))


@pytest.mark.parametrize(
    ("stop", "expected"),
    [(Stop.CANCELED, Canceled()), (Stop.DRAIN, Interrupted()), (Stop.LEASE, Interrupted())],
)
async def test_a_stop_kills_the_child(
    children: Children, tmp_path: Path, stop: Stop, expected: Outcome
) -> None:
    told = tmp_path / "pid"
    s = Scene(children, cpu_handlers.run_on, say=str(told))
    s.start()
    [pid] = await pids_told(told)

    s.run.stop(stop)

    assert await s.end() == expected
    assert s.events.all == []
    await eventually(lambda: not psutil.pid_exists(pid))


async def test_a_child_is_not_waited_for_once_it_has_ended_although_a_process_that_it_left_has_the_pipe(
    children: Children, tmp_path: Path
) -> None:
    told = tmp_path / "pid"
    s = Scene(children, cpu_handlers.leave_somebody_behind, say=str(told))
    s.start()
    [left] = await pids_told(told)
    try:
        s.run.stop(Stop.CANCELED)
        assert await s.end() == Canceled()
    finally:
        os.kill(left, signal.SIGKILL)


async def test_a_timeout_kills_the_child(children: Children, tmp_path: Path) -> None:
    s = Scene(children, cpu_handlers.run_on, say=str(tmp_path / "pid"), timeout=0.05)
    s.start()
    assert await s.end() == TimedOut(timedelta(seconds=0.05))
    assert [event.error for event in s.events.of(TaskRetrying)] == ["Timeout: did not end within 0.05 s"]


async def test_a_run_that_is_stopped_while_its_child_starts_leaves_no_child(
    children: Children, tmp_path: Path
) -> None:
    s = Scene(children, cpu_handlers.run_on, say=str(tmp_path / "pid"))
    s.start()
    await asyncio.sleep(0)
    s.run.stop(Stop.CANCELED)
    assert await s.end() == Canceled()
    assert not any(server._children for server in children._servers)


async def test_all_children_are_ended_when_the_consumer_is_about_to_exit(
    children: Children, tmp_path: Path
) -> None:
    told = tmp_path / "pids"
    scenes = [Scene(children, cpu_handlers.run_on, say=str(told)) for _ in range(2)]
    for s in scenes:
        s.start()
    await pids_told(told, 2)

    children.kill_all()

    for s in scenes:
        outcome = await s.end()
        assert isinstance(outcome, Failed)
        assert outcome.failure.type == "ChildDied"
