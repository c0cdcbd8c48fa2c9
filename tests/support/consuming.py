"""Real consumers: `python -m consumer` processes with their logs, ended by pid."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil

from sluice.cli.embedded import Urls
from sluice.consumer.handlers.loader import load
from sluice.core.task import TaskId
from tests.support import launching
from tests.support.eventually import eventually
from tests.support.stores import Stores, list_of

ROOT = Path(__file__).parents[2]
FULL = os.environ.get("SLUICE_TEST_FULL") == "1"
"""Run with the figures that the product promises instead of smaller ones."""
HANDLERS = "tests.support.handlers"
KINDS = sorted(load([HANDLERS]))
"""What these consumers serve."""
OURS = list_of(kinds=KINDS)
"""The list at which they wait, while no others are alive."""
START_SECONDS = 30.0
_SHOWN = 200
NOTHING: Mapping[str, str] = MappingProxyType({})


class Consumer:
    """One process. `log` holds its events, `said` what it wrote that is no event."""

    def __init__(self, process: launching.Process) -> None:
        self.process = process
        self.log: list[dict[str, Any]] = []
        self.said: list[str] = []

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    def events(self, name: str, **facts: Any) -> list[dict[str, Any]]:
        """The events of this name, and with these facts, so far."""
        return [
            event
            for event in self.log
            if event.get("event") == name and all(event.get(key) == value for key, value in facts.items())
        ]

    async def event(self, name: str, *, within: float = 10.0, **facts: Any) -> dict[str, Any]:
        """The first such event, once it is there."""
        try:
            return (await eventually(lambda: self.events(name, **facts), timeout=within))[0]
        except AssertionError:
            raise AssertionError(
                f"no {name} {facts} within {within} s: {self.said} {self.log[-20:]}"
            ) from None

    def send(self, number: signal.Signals) -> None:
        """A signal, to this process alone."""
        self.process.send_signal(number)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let it stand still meanwhile. What is submitted and pushed then comes to it by its list.

        Else its own look may find the rows before their ids are in the list, where these are left behind.
        """
        self.send(signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):  # somebody may have killed it
                self.send(signal.SIGCONT)

    async def ended(self, within: float = 10.0) -> int:
        """Its exit status, once it has ended."""
        try:
            async with asyncio.timeout(within):
                return await self.process.wait()
        except TimeoutError:
            raise AssertionError(f"still there after {within} s: {self.said} {self.log[-20:]}") from None

    async def stop(self, within: float = 10.0) -> tuple[int, float]:
        """SIGTERM it; its exit status, and how many seconds it took."""
        began = time.monotonic()
        self.send(signal.SIGTERM)
        return await self.ended(within), time.monotonic() - began

    def stop_reading(self) -> None:
        """Close our end of its stderr."""
        assert self.process.stderr is not None
        self.process.stderr._transport.close()  # type: ignore[attr-defined]

    async def read(self) -> None:
        """Follow what it writes to its end."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            text = line.decode("utf-8", "replace").rstrip()
            with suppress(json.JSONDecodeError):
                self.log.append(json.loads(text))
                continue
            self.said.append(text)


class Consumers:
    """The consumers of one test: what they share, and where their handlers note what they do.

    `cold`: those to come begin with an interpreter of their own, for tests that are about the start.
    """

    def __init__(self, urls: Urls, prefix: str, directory: Path, group: asyncio.TaskGroup) -> None:
        self.started: list[Consumer] = []
        self.cold = False
        self._group = group
        self._reading: set[asyncio.Task[None]] = set()
        self._directory = directory
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": urls.database_url,
            "REDIS_URL": urls.redis_url,
            "REDIS_PREFIX": prefix,
            "HANDLERS": HANDLERS,
            "RUNS": str(directory / "runs"),
            "LOG_FORMAT": "json",
            "DRAIN_SECONDS": "5",
        }

    async def launch(self, *options: str, before: str = "", **environment: str) -> Consumer:
        """Start one and wait for nothing. `before` is a shell's command in the process that becomes the consumer."""
        process = await launching.start(
            "consumer",
            *options,
            environment={**self._environment, **environment},
            cwd=self._directory,
            cold=self.cold,
            before=before,
        )
        consumer = Consumer(process)
        self.started.append(consumer)
        self._reading.add(self._group.create_task(consumer.read()))
        return consumer

    async def start(self, *options: str, before: str = "", **environment: str) -> Consumer:
        """Start one and wait until it consumes."""
        consumer = await self.launch(*options, before=before, **environment)

        def ready() -> bool:
            assert consumer.process.returncode is None, f"it ended: {consumer.said} {consumer.log}"
            return bool(consumer.events("consumer.started"))

        await eventually(ready, timeout=START_SECONDS)
        return consumer

    async def end(self) -> None:
        """Kill whoever is left, by pid, and stop reading: a descendant may hold their stderr open."""
        for consumer in self.started:
            if consumer.process.returncode is None:
                consumer.process.kill()
            await consumer.process.wait()
        _end_sessions({consumer.pid for consumer in self.started})
        if self._reading:
            await asyncio.wait(self._reading, timeout=1)
        for reading in self._reading:
            reading.cancel()
        for consumer in self.started:  # what a failed test shows
            sys.stdout.write(f"consumer {consumer.pid} ended with {consumer.process.returncode}\n")
            sys.stdout.writelines(f"  {line}\n" for line in (*consumer.said, *consumer.log[-_SHOWN:]))

    def runs(self, what: str | None = None, **facts: Any) -> list[dict[str, Any]]:
        """What the handlers noted, in the order in which they did."""
        path = self._directory / "runs"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [
            run
            for run in found
            if what in {None, run["what"]} and all(run.get(key) == value for key, value in facts.items())
        ]

    def file(self, name: str) -> Path:
        """A file that handlers may wait for."""
        return self._directory / name


def _end_sessions(leaders: set[int]) -> None:
    """Kill all of the sessions that these led: when a test fails, one of them may be computing for ever."""
    for pid in psutil.pids() if leaders else ():
        with suppress(ProcessLookupError):
            if os.getsid(pid) in leaders:
                os.kill(pid, signal.SIGKILL)


async def lists(stores: Stores, consumer: Consumer, ids: Sequence[TaskId]) -> bool:
    """Whether the consumer's list holds these ids, each once, and no others.

    One that logs at debug may have claimed by the rows, as when it was held for longer than a pop lasts and took Redis
    for lost: ids that it did not pop are left behind then, and there twice.
    """
    listed = await stores.entries(OURS)
    if consumer.events("tasks.scanned"):
        return {*map(str, ids)} <= {*listed}
    return sorted(listed) == sorted(map(str, ids))


@asynccontextmanager
async def consumers_of(urls: Urls, prefix: str, directory: Path) -> AsyncIterator[Consumers]:
    """Consumers for one test; at its end none of them is left."""
    async with asyncio.TaskGroup() as group:
        consumers = Consumers(urls, prefix, directory, group)
        try:
            yield consumers
        finally:
            await consumers.end()
