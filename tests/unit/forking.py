"""One run of a CPU-bound handler in a child process, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import orjson

from sluice import Context
from sluice.consumer.handlers.registry import Handler, Mode
from sluice.consumer.runs.cpu.children import Children
from sluice.consumer.runs.execute import Execute
from sluice.consumer.runs.running import Running
from sluice.core.clock import boottime
from sluice.core.outcome import Outcome
from sluice.core.task import JsonText
from tests.support.eventually import eventually
from tests.unit.support import Events, begun, claim, nobody, told_of

WITHIN = 20.0


class Scene:
    """One run of a CPU-bound handler."""

    def __init__(
        self, children: Children, function: Callable[..., Any], *, timeout: float = 60, **payload: Any
    ) -> None:
        self.events, self.vacated = Events(), 0
        self._function = function
        self.run = begun(claim(timeout=timeout, attempt=2, payload=JsonText(orjson.dumps(payload).decode())))
        self.outcome: Outcome | None = None
        self._execute = Execute(threads=cast("ThreadPoolExecutor", None), children=children)
        self._running = Running()
        self.run.vacate = self._vacate

    def start(self) -> None:
        handler = Handler(self.run.claim.kind, self._function, Mode.PROCESS, orjson.loads, None, None, None)

        async def life() -> None:
            ctx = Context(self.run, None, boottime)
            self.outcome = await self._execute(self.run, handler, ctx, nobody)
            told_of(self.run, self.outcome, self.events)
            self._running.remove(self.run)

        self._running.start(self.run, life())

    def _vacate(self) -> None:
        self.vacated += 1

    async def end(self) -> Outcome:
        async with asyncio.timeout(WITHIN):
            await self._running.idle()
        assert self.outcome is not None
        assert self.vacated == 1
        assert self.run.on_stop is None
        return self.outcome


async def pids_told(told: Path, n: int = 1) -> list[int]:
    """The pids that handlers have written to the file, once there are `n`."""
    return [int(pid) for pid in await eventually(lambda: _lines(told, n), timeout=WITHIN)]


def _lines(told: Path, n: int) -> list[str]:
    lines = told.read_text().splitlines() if told.exists() else []
    return lines if len(lines) >= n else []


async def outcome_of(children: Children, function: Callable[..., Any], **facts: Any) -> Outcome:
    s = Scene(children, function, **facts)
    s.start()
    return await s.end()
