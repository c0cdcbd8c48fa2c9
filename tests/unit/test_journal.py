from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from sluice.consumer.runs.journal import LINES, Journal
from sluice.core.attempts import (
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskInterrupted,
    TaskRetrying,
    TasksEnded,
    TaskSnoozed,
)
from sluice.core.outcome import (
    Canceled,
    Failed,
    Failure,
    Interrupted,
    Outcome,
    Snoozed,
    Succeeded,
    TimedOut,
)
from sluice.core.retry import verdict
from tests.unit.support import Clock, Events, begun, claim, task_id

BROKEN = Failed(Failure("ValueError", "broken\nin two lines"), traceback="Traceback: here")


class Scene:
    """A journal, and attempts that waited 1.25 s and ran for 2 s."""

    def __init__(self) -> None:
        self.events, self.clock = Events(), Clock()
        self.journal = Journal(self.events, self.clock)

    def end(self, outcome: Outcome, times: int = 1, **facts: Any) -> None:
        run = begun(claim(waited=1.25, **facts), self.clock() - 2)
        for _ in range(times):
            self.journal.ended(run, outcome, verdict(outcome, run.claim, random=Random(1)))


@pytest.mark.parametrize(
    ("outcome", "event"),
    [
        (Succeeded(), TaskCompleted),
        (Snoozed(timedelta(seconds=9)), TaskSnoozed),
        (Canceled(), TaskCanceled),
        (Interrupted(), TaskInterrupted),
        (BROKEN, TaskRetrying),
        (TimedOut(timedelta(seconds=3)), TaskRetrying),
        (Failed(Failure("Discard", "no"), final=True), TaskFailed),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_way_to_end_has_a_line_of_its_own(outcome: Outcome, event: type) -> None:
    s = Scene()
    s.end(outcome)

    [told] = s.events.all
    assert type(told) is event
    facts = told.facts()
    assert facts["task"] == str(task_id(1))
    assert (facts["kind"], facts["attempt"]) == ("test", 1)
    assert (facts["waited_seconds"], facts["ran_seconds"]) == (1.25, 2.0)


def test_a_failure_says_its_first_line_its_traceback_and_when_it_is_tried_again() -> None:
    s = Scene()
    s.end(Failed(BROKEN.failure, timedelta(hours=1), traceback=BROKEN.traceback))

    [told] = s.events.of(TaskRetrying)
    assert (told.error, told.traceback) == ("ValueError: broken", "Traceback: here")
    ahead = datetime.fromisoformat(told.next_at) - datetime.now(UTC)
    assert timedelta(minutes=59) < ahead <= timedelta(hours=1)


def test_the_last_failure_is_an_error_and_no_retry() -> None:
    s = Scene()
    s.end(BROKEN, attempt=5)

    [told] = s.events.all
    assert (told.name, told.level) == ("task.failed", "error")
    assert (TaskRetrying.name, TaskRetrying.level) == ("task.retrying", "warning")
    assert re.fullmatch("task.completed info", f"{TaskCompleted.name} {TaskCompleted.level}")


def test_beyond_a_hundred_a_period_they_are_told_together() -> None:
    s = Scene()
    s.end(Succeeded(), LINES + 20)
    s.end(Canceled(), 3)
    s.journal.tell()

    assert len(s.events.of(TaskCompleted)) == LINES
    assert s.events.of(TaskCanceled) == []
    assert s.events.of(TasksEnded) == [TasksEnded(LINES + 23, completed=LINES + 20, canceled=3)]


async def test_a_busy_period_is_followed_by_one_without_lines_until_it_is_quiet_again() -> None:
    s = Scene()
    s.end(Succeeded(), LINES + 1)
    await s.journal.step()
    s.events.all.clear()

    s.end(Succeeded(), LINES + 1)
    s.end(BROKEN)
    await s.journal.step()
    assert [type(event) for event in s.events.all] == [TaskRetrying, TasksEnded]
    assert s.events.all[1] == TasksEnded(LINES + 2, completed=LINES + 1, retrying=1)

    s.end(Succeeded(), 2)
    await s.journal.step()
    assert s.events.all[2:] == [TasksEnded(2, completed=2)]

    s.end(Succeeded(), 2)
    await s.journal.step()
    assert [type(event) for event in s.events.all[3:]] == [TaskCompleted, TaskCompleted]


def test_failures_are_told_beside_any_number_of_others_but_not_without_end() -> None:
    s = Scene()
    s.end(Succeeded(), LINES + 1)
    s.end(BROKEN, LINES + 50)
    s.journal.tell()

    assert len(s.events.of(TaskRetrying)) == LINES
    assert s.events.of(TasksEnded) == [TasksEnded(2 * LINES + 51, completed=LINES + 1, retrying=LINES + 50)]


def test_a_period_in_which_each_had_its_line_and_one_without_any_say_no_more() -> None:
    s = Scene()
    s.end(Succeeded(), LINES)
    s.end(BROKEN, LINES)
    before = len(s.events.all)
    s.journal.tell()
    s.journal.tell()
    assert len(s.events.all) == before
