from __future__ import annotations

import asyncio
import json
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from sluice import Context
from sluice.consumer.handlers.context import DetachedContext
from sluice.consumer.runs.running import Run, Stop
from sluice.core.task import FencingToken
from tests.unit.support import Clock, begun, claim, task_id, virtual

CLAIM = claim(7, token=FencingToken(4), message="hello", attempt=2, max_attempts=9)


class Sessions:
    """Remembers whose session was asked for."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.session = cast("AsyncSession", object())

    async def open(self, run: Run) -> AsyncSession:
        self.runs.append(run)
        return self.session


def context(sessions: Sessions | None = None, *, clock: Clock | None = None) -> tuple[Context, Run]:
    run = begun(CLAIM)
    return Context(run, cast("Any", sessions), clock or Clock(0.0)), run


@pytest.mark.parametrize("detached", [False, True])
def test_a_context_has_the_facts_of_its_try(detached: bool, capsys: pytest.CaptureFixture[str]) -> None:
    whole, _ = context()
    ctx = DetachedContext.of(whole) if detached else whole

    assert (ctx.id, ctx.kind, ctx.message) == (task_id(7), "test", "hello")
    assert (ctx.attempt, ctx.max_attempts, ctx.fencing_token) == (2, 9, 4)
    ctx.log.info("said")
    line = json.loads(capsys.readouterr().err)
    assert line.pop("timestamp")
    assert line == {
        "event": "said",
        "level": "info",
        "task": str(task_id(7)),
        "kind": "test",
        "attempt": 2,
    }


def test_the_deadline_is_when_this_try_times_out() -> None:
    clock = Clock(10.0)
    ctx, _ = context(clock=clock)
    left = ctx.deadline - datetime.now(UTC)
    assert timedelta(seconds=49) < left <= timedelta(seconds=50)

    clock.at = 1000.0
    assert ctx.deadline <= datetime.now(UTC)


def test_canceled_says_whether_the_run_is_to_stop() -> None:
    ctx, run = context()
    seen = [ctx.canceled]
    run.stop(Stop.DRAIN)
    assert [*seen, ctx.canceled] == [False, True]


@virtual
async def test_the_session_is_asked_for_when_the_handler_does() -> None:
    sessions = Sessions()
    ctx, run = context(sessions)
    run.task = cast("Any", asyncio.current_task())
    assert sessions.runs == []
    assert await ctx.session() is sessions.session
    assert sessions.runs == [run]


@virtual
async def test_a_handler_that_is_no_coroutine_has_no_session() -> None:
    ctx, _ = context()
    for each in (ctx, DetachedContext.of(ctx)):
        with pytest.raises(RuntimeError, match="for `async def` handlers only"):
            await each.session()


def test_a_detached_context_travels() -> None:
    detached = DetachedContext.of(context()[0])
    assert pickle.loads(pickle.dumps(detached)) == detached  # noqa: S301 - made on this line
    assert detached.canceled is False
