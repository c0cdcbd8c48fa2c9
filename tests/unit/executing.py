"""One run of a handler on the loop, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any, cast

import orjson

from sluice import Context
from sluice.consumer.handlers.registry import Handler, Mode
from sluice.consumer.runs.cpu.children import Children
from sluice.consumer.runs.execute import Execute
from sluice.consumer.runs.running import Run, Running
from sluice.core.outcome import Outcome
from sluice.core.task import JsonText
from tests.unit.support import Events, begun, claim, now, told_of

Function = Callable[[Context, Any], Awaitable[Any]]


class Scene:
    """One run of an `async def` handler, in a task of its own as a consumer has it."""

    def __init__(self, function: Function, *, timeout: float = 60, payload: str = "{}") -> None:
        self.events = Events()
        self.run = begun(claim(timeout=timeout, payload=JsonText(payload), attempt=2), now())
        self.vacated: list[float] = []
        self.run.vacate = lambda: self.vacated.append(now())
        self.left: list[tuple[float, Outcome]] = []
        self.outcome: Outcome | None = None
        self.after: list[str] = []
        self._handler = Handler(self.run.claim.kind, function, Mode.LOOP, orjson.loads, None, None, None)
        self._execute = Execute(threads=cast("Executor", None), children=cast("Children", None))
        self._running = Running()

    async def _life(self) -> None:
        ctx = Context(self.run, None, now)
        self.outcome = await self._execute(self.run, self._handler, ctx, self._leave)
        if not self.run.left_behind:
            told_of(self.run, self.outcome, self.events)
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        self.after.append(f"went on with {task.cancelling()} cancellations")
        self._running.remove(self.run)

    def _leave(self, run: Run, outcome: Outcome) -> None:
        assert run is self.run
        run.left_behind = True
        self.left.append((now(), outcome))
        told_of(run, outcome, self.events)

    def start(self) -> None:
        self._running.start(self.run, self._life())

    async def end(self) -> Outcome:
        await self._running.idle()
        assert self.outcome is not None
        assert self.after == ["went on with 0 cancellations"]
        assert len(self.vacated) == 1
        assert self.run.on_stop is None
        return self.outcome


async def outcome_of(function: Function, **facts: Any) -> tuple[Outcome, Events]:
    s = Scene(function, **facts)
    s.start()
    return await s.end(), s.events
