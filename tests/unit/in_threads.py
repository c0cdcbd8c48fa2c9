"""One run of a handler in a thread, and what became of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import orjson

from sluice import Context
from sluice.consumer.handlers.registry import Handler, Mode
from sluice.consumer.runs.cpu.children import Children
from sluice.consumer.runs.execute import Execute
from sluice.consumer.runs.running import Running
from sluice.core.clock import boottime
from sluice.core.outcome import Outcome
from tests.support.eventually import eventually
from tests.unit.support import Events, begun, claim, nobody, told_of

WITHIN = 10.0


class Scene:
    """One run of a `def` handler that holds its thread until the test lets it go."""

    def __init__(self, threads: ThreadPoolExecutor, *, timeout: float = 60) -> None:
        self.events = Events()
        self.run = begun(claim(timeout=timeout))
        self.began, self.go = threading.Event(), threading.Event()
        self.vacated = 0
        self.outcome: Outcome | None = None
        self.saw: list[bool] = []
        self._execute = Execute(threads=threads, children=cast("Children", None))
        self._running = Running()
        self.run.vacate = self._vacate

    def holds(self, ctx: Context, payload: object) -> str:
        assert payload == {}
        self.began.set()
        assert self.go.wait(WITHIN)
        self.saw.append(ctx.canceled)
        return threading.current_thread().name

    def start(self, function: Callable[[Context, Any], Any] | None = None) -> None:
        handler = Handler(
            self.run.claim.kind, function or self.holds, Mode.THREAD, orjson.loads, None, None, None
        )

        async def life() -> None:
            ctx = Context(self.run, None, boottime)
            self.outcome = await self._execute(self.run, handler, ctx, nobody)
            told_of(self.run, self.outcome, self.events)
            self._running.remove(self.run)

        self._running.start(self.run, life())

    def _vacate(self) -> None:
        self.vacated += 1

    async def begun(self) -> None:
        await eventually(self.began.is_set, timeout=WITHIN)

    async def end(self) -> Outcome | None:
        async with asyncio.timeout(WITHIN):
            await self._running.idle()
        return self.outcome
