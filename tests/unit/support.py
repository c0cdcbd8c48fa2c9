"""What unit tests share: a loop on virtual time, a clock set by hand, ids by number, and a sink of events."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from datetime import timedelta
from random import Random
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from sluice.consumer.lease import Lease
from sluice.consumer.runs.journal import Journal
from sluice.consumer.runs.running import Run
from sluice.core.events import Event
from sluice.core.outcome import Failing, Outcome
from sluice.core.retry import verdict
from sluice.core.task import DEFAULT_QUEUE, Claim, ConsumerId, FencingToken, JsonText, Kind, TaskId

P = ParamSpec("P")
E = TypeVar("E", bound=Event)


class _Jumping(selectors.DefaultSelector):
    """Instead of waiting for the next timer it moves the time there."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found and timeout is None:
            raise AssertionError("everything waits and nothing can happen any more")
        if not found and timeout:
            self.now += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only when nothing else is left to do, and then at once. For tests without threads."""

    def __init__(self) -> None:
        self._virtual = _Jumping()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def virtual(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on a VirtualLoop of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


def now() -> float:
    """The loop's time: what a part on a VirtualLoop takes for its clock."""
    return asyncio.get_running_loop().time()


async def settled() -> None:
    """On a VirtualLoop: until nothing can go on without time passing."""
    await asyncio.sleep(1e-6)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, at: float = 1000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += seconds


class Events:
    """A sink that keeps what was reported."""

    def __init__(self) -> None:
        self.all: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.all.append(event)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.all if isinstance(event, kind)]


def told_of(run: Run, outcome: Outcome, events: Events) -> None:
    """What a consumer's journal tells of a failure, as after each attempt."""
    write = verdict(outcome, run.claim, random=Random(1))
    if isinstance(write, Failing):
        Journal(events, now).ended(run, outcome, write)


def task_id(number: int) -> TaskId:
    return TaskId(UUID(int=number))


def claim(number: int = 1, **changes: Any) -> Claim:
    """A claim of task `number`; its token is 1 unless said otherwise."""
    facts: dict[str, Any] = {
        "id": task_id(number),
        "token": FencingToken(1),
        "kind": Kind("test"),
        "queue": DEFAULT_QUEUE,
        "priority": 5,
        "message": None,
        "payload": JsonText("{}"),
        "attempt": 1,
        "max_attempts": 5,
        "crashes": 0,
        "timeout": 60.0,
    }
    return Claim(**{**facts, **changes})


def begun(of: Claim, at: float = 0.0) -> Run:
    """A run that began at this instant, under an id that no lease has."""
    return Run(of, at, ConsumerId(UUID(int=0)), nothing)


def nothing() -> None:
    """For runs whose slot is nobody's."""


def nobody(run: Run, outcome: Outcome) -> None:
    """For runs of which none is left behind."""
    raise AssertionError(f"{run} was left behind: {outcome}")


def trusted(clock: Callable[[], float], seconds: float = 30) -> Lease:
    """A lease whose beat was sent this moment."""
    lease = Lease(timedelta(seconds=seconds), clock)
    lease.renewed(clock())
    return lease
