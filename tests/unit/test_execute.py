from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from sluice import Context, Discard, Retry, Snooze
from sluice.core.attempts import AttemptFailed, TaskFailed, TaskRetrying
from sluice.core.outcome import Failed, Failure, Snoozed, Succeeded
from sluice.core.task import JsonText
from tests.unit.executing import outcome_of
from tests.unit.support import virtual


@virtual
async def test_what_a_handler_returns_is_encoded_as_the_result() -> None:
    async def add(ctx: Context, payload: dict[str, int]) -> dict[str, int]:
        return {"sum": payload["a"] + payload["b"], "try": ctx.attempt}

    outcome, events = await outcome_of(add, payload='{"a":1,"b":2}')

    assert outcome == Succeeded(JsonText('{"sum":3,"try":2}'))
    assert events.all == []


@virtual
async def test_returning_nothing_is_a_success_without_a_result() -> None:
    async def nothing(ctx: Context, payload: object) -> None: ...

    assert (await outcome_of(nothing))[0] == Succeeded(None)


class CannotBePrinted(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("raised", "failure"),
    [
        (ValueError("broken"), Failure("ValueError", "broken")),
        (SystemExit(3), Failure("SystemExit", "3")),
        (KeyboardInterrupt(), Failure("KeyboardInterrupt", "")),
        (asyncio.CancelledError("of its own"), Failure("CancelledError", "of its own")),
        (GeneratorExit(), Failure("GeneratorExit", "")),
        (
            BaseExceptionGroup("two", [ValueError(), SystemExit()]),
            Failure("BaseExceptionGroup", "two (2 sub-exceptions)"),
        ),
        (StopIteration(), Failure("RuntimeError", "coroutine raised StopIteration")),
        (CannotBePrinted(), Failure("CannotBePrinted", "(its message could not be read: RuntimeError)")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_a_handler_raises_is_its_failure_and_nobody_else_s(
    raised: BaseException, failure: Failure
) -> None:
    async def broken(ctx: Context, payload: object) -> None:
        await asyncio.sleep(1)
        raise raised

    @virtual
    async def scene() -> None:
        outcome, events = await outcome_of(broken)
        assert outcome == Failed(failure)
        [told] = events.of(TaskRetrying)
        assert (told.attempt, told.kind) == (2, "test")
        assert told.error == f"{failure.type}: {failure.message}".removesuffix(": ")
        assert "in broken" in (told.traceback or "")

    scene()


@virtual
async def test_a_payload_that_does_not_fit_fails_the_try_before_the_handler_begins() -> None:
    async def never(ctx: Context, payload: object) -> None:
        raise AssertionError

    outcome, _ = await outcome_of(never, payload="{")
    assert isinstance(outcome, Failed)
    assert outcome.failure.type == "JSONDecodeError"


@virtual
async def test_a_handler_may_say_more_than_that_it_failed() -> None:
    async def act(ctx: Context, payload: dict[str, int]) -> None:
        raise [Retry("busy", after=7), Retry("busy"), Snooze(9), Discard("gone")][payload["n"]]

    outcomes, tracebacks = [], []
    for n in range(4):
        outcome, events = await outcome_of(act, payload=f'{{"n":{n}}}')
        outcomes.append(outcome)
        tracebacks += [told.facts()["traceback"] for told in events.of(AttemptFailed)]

    assert outcomes == [
        Failed(Failure("Retry", "busy"), timedelta(seconds=7)),
        Failed(Failure("Retry", "busy")),
        Snoozed(timedelta(seconds=9)),
        Failed(Failure("Discard", "gone"), final=True),
    ]
    assert tracebacks == [None, None, None]


@virtual
async def test_a_result_that_cannot_be_stored_fails_the_task_for_good() -> None:
    async def unstorable(ctx: Context, payload: object) -> object:
        return {1, 2}

    outcome, events = await outcome_of(unstorable)
    assert isinstance(outcome, Failed)
    assert (outcome.failure.type, outcome.final) == ("UnstorableResult", True)
    assert len(events.of(TaskFailed)) == 1


@virtual
async def test_timeouts_and_task_groups_inside_of_a_handler_work_as_elsewhere() -> None:
    async def inner(ctx: Context, payload: object) -> list[str]:
        seen = []
        try:
            async with asyncio.timeout(1):
                await asyncio.sleep(5)
        except TimeoutError:
            seen.append("timeout")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(5))
                raise ValueError
        except* ValueError:
            seen.append("group")
        return seen

    assert (await outcome_of(inner))[0] == Succeeded(JsonText('["timeout","group"]'))
