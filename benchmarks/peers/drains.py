"""One drain of one side: a fresh store, N tasks that wait, one worker process, a clock that only looks at the store.

Start-up is outside of the clock for all sides alike. A side that lost a task or ran one twice has no rate.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import psutil

from benchmarks.cpu import Meter
from benchmarks.drain import SETTINGS
from benchmarks.handlers import KIND
from benchmarks.peers.catalogue import OURS, Peer
from benchmarks.peers.environments import Environment
from benchmarks.peers.watch import Watch
from benchmarks.preload import preload
from benchmarks.stage import BrokenRun, Program, Stage, until
from sluice.cli.supervise.child import Child
from sluice.core.settings import environment

T = TypeVar("T")

_LOOK = 0.02
_SETTLING = 30.0
_STARTING = 60.0
_WORKING = 180.0
_STOPPING = 30.0
_COUNT = """
SELECT count(*) FILTER (WHERE status <> 'completed') AS lost, count(*) FILTER (WHERE fencing_token > 2) AS repeated
  FROM tasks
"""


class Side(Protocol):
    """A queue that can be filled and drained."""

    @property
    def name(self) -> str:
        """Who it is."""

    @property
    def watch(self) -> Watch:
        """How it is observed."""

    async def fill(self, stage: Stage, tasks: int) -> None:
        """Make its schema and submit the tasks."""

    def worker(self, stage: Stage, tasks: int) -> AbstractAsyncContextManager[Program]:
        """One worker process, gone at the end."""

    async def told(self, stage: Stage, program: Program) -> dict[str, Any]:
        """Stop the worker; how many tasks were `lost` and how many runs `repeated`, and what else is known."""


@dataclass(frozen=True, slots=True)
class Ours:
    """Sluice with its defaults and 100 slots."""

    name: str
    watch: Watch = OURS

    async def fill(self, stage: Stage, tasks: int) -> None:
        await preload(stage, tasks, KIND)

    def worker(self, stage: Stage, tasks: int) -> AbstractAsyncContextManager[Program]:  # noqa: ARG002 - as Side
        return stage.program("consumer", settings=SETTINGS)

    async def told(self, stage: Stage, program: Program) -> dict[str, Any]:
        await program.stop()
        async with stage.connection() as connection:
            return dict(await connection.fetchrow(_COUNT) or {})


@dataclass(frozen=True, slots=True)
class Theirs:
    """A peer behind its adapter."""

    peer: Peer
    environment: Environment

    @property
    def name(self) -> str:
        """The peer's."""
        return self.peer.name

    @property
    def watch(self) -> Watch:
        """The peer's."""
        return self.peer.watch

    async def fill(self, stage: Stage, tasks: int) -> None:
        async with self._adapter(stage, "fill", tasks) as program:
            await program.answer()

    def worker(self, stage: Stage, tasks: int) -> AbstractAsyncContextManager[Program]:
        return self._adapter(stage, "work", tasks)

    async def told(self, stage: Stage, program: Program) -> dict[str, Any]:  # noqa: ARG002 - as Side
        if program.alive:
            os.kill(program.pid, signal.SIGTERM)
        return await _within(_STOPPING, program.answer(), f"{self.name} did not obey SIGTERM")

    @asynccontextmanager
    async def _adapter(self, stage: Stage, duty: str, tasks: int) -> AsyncIterator[Program]:
        with tempfile.TemporaryFile() as output:
            child = await Child.start(
                [*self.environment.command, duty],
                environment=environment(
                    DATABASE_URL=stage.urls.database_url,
                    REDIS_URL=stage.urls.redis_url,
                    TASKS=str(tasks),
                    **{f"TRY_{name}": value for name, value in self.peer.settings},
                ),
                output=output.fileno(),
            )
            program = Program(f"{self.name} ({duty})", child, output)
            try:
                yield program
            finally:
                await program.end()


async def drained(stage: Stage, side: Side, tasks: int) -> tuple[float, dict[str, Any]]:
    """Tasks a second, and the facts. Raises BrokenRun when a task was lost or repeated, or the worker died."""
    await stage.fresh()
    await side.fill(stage, tasks)
    await _settle(stage)
    before = await stage.written_bytes()
    started = time.monotonic()
    async with side.watch.open(stage, tasks) as look, side.worker(stage, tasks) as program:
        await _within(
            _STARTING, until(look.began, every=_LOOK / 4, program=program), f"{side.name} began nothing"
        )
        began = time.monotonic()
        with Meter({"worker": program.pid, **stage.server_pids}) as meter:
            await _within(
                _WORKING, until(look.done, every=_LOOK, program=program), f"{side.name} is not done"
            )
        seconds = time.monotonic() - began
        memory = _memory(program.pid)
        told = await side.told(stage, program)
        kept = await look.kept()
    written = await stage.written_bytes() - before
    if told["lost"] or told["repeated"] or kept not in {None, tasks}:
        raise BrokenRun(
            f"{side.name}: of {tasks} tasks {told}, {kept} kept as completed: so there is no rate"
        )
    return tasks / seconds, {
        "tasks": tasks,
        "seconds": round(seconds, 4),
        "start_seconds": round(began - started, 3),
        "kept": kept,
        **told,
        "cpu_seconds_per_1000": round(1000 * sum(meter.facts["cpu_seconds"].values()) / tasks, 4),
        "worker_memory_mb": round(memory / 1e6, 1),
        "wal_bytes_per_task": round(written / tasks),
        **meter.facts,
    }


async def _within(seconds: float, awaited: Awaitable[T], otherwise: str) -> T:
    """What is awaited. Raises BrokenRun when that takes longer: a queue that stalls must not stall the rest."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await awaited
    except TimeoutError:
        if not limit.expired():
            raise
        raise BrokenRun(f"{otherwise} within {seconds:g} s") from None


async def _settle(stage: Stage) -> None:
    """Let no work of the preparation fall into the measurement."""
    async with stage.connection() as connection:
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
    await _within(_SETTLING, _rewritten(stage), "Valkey has not rewritten its append-only file")


async def _rewritten(stage: Stage) -> None:
    while True:
        info = await stage.redis.info("persistence")
        if not info["aof_rewrite_in_progress"]:
            return
        await asyncio.sleep(_LOOK)


def _memory(pid: int) -> int:
    """Resident bytes of a process and its descendants."""
    found = 0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                found += one.memory_info().rss
    return found
