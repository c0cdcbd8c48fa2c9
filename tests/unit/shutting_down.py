"""A consumer that is told to stop, whose parts a test can hold up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

from sluice.consumer.intake.capacity import Capacity
from sluice.consumer.parts import Consumer
from sluice.consumer.runs.running import Run, Running
from sluice.consumer.shutdown import Ending, Shutdown
from sluice.core.errors import RowRefused, StoreUnavailable
from sluice.core.outcome import Return
from sluice.core.task import RunKey, TaskId
from sluice.db.claims import Pending, Written
from tests.unit.support import Events, begun, claim, now

FOREVER = 10_000.0
Part = Any


class Scene:
    """A consumer whose parts only say what was asked of them, and take as long as the test says."""

    def __init__(self, *, drain: float = 25.0, redis: bool = True) -> None:
        self.log: list[str] = []
        self.takes: dict[str, float] = {}
        self.fails: set[str] = set()
        self.events, self.running = Events(), Running()
        self.capacity = Capacity(4)
        self.draining = False
        self.pulling, self.scheduling, self.writing = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.waiting, self.unwritten = 0, set[RunKey]()
        self.locked, self.locks = 0, set[int]()
        self.refuses = set[int]()
        self.ready = self if redis else None
        self.forced = asyncio.Event()
        self.drain = drain
        self.lease = self.stores = self.claims = self.consumers = self
        self.liveness = SimpleNamespace(heartbeat=self)
        self.publishing = asyncio.Event()
        self.publisher = SimpleNamespace(
            again=lambda pending: self.log.append(f"publish {list(pending)}"), close=self._publish
        )
        self.runs = self.work = self.complete = self
        self.stops = SimpleNamespace(intake=self)
        self.intake = SimpleNamespace(
            schedule=self,
            claimer=self,
            prefetch=SimpleNamespace(give_back=lambda why: self.log.append(f"give back claims, {why}")),
        )
        self.consumer, self.rows, self.asked = "me", set[RunKey](), 0
        self.former: str | None = None
        self.closed_at = 0.0

    def _say(self, what: str, *, seconds: float = 0.0) -> Coroutine[None, None, None]:
        async def act() -> None:
            self.log.append(what)
            await asyncio.sleep(self.takes.get(what, seconds))
            if what in self.fails:
                raise StoreUnavailable("a store", "gone")

        return act()

    def request(self) -> None:
        self.log.append("intake" if self.draining else "intake, while claims still start")
        if "schedule" not in self.takes:
            self.scheduling.set()

    async def wake(self) -> None:
        await self._say("wake")
        if "pull" not in self.takes:
            self.pulling.set()

    async def cut(self) -> None:
        await self._say("cut")
        if "pull, when cut" not in self.takes:
            self.pulling.set()

    async def forget_wake(self) -> None:
        await self._say("forget wake")

    def close(self) -> None:
        self.closed_at = now()
        self.log.append("close")
        after(self.takes.get("complete", 0), self._written)

    def _written(self) -> None:
        self.waiting = 0
        self.writing.set()

    def _publish(self) -> None:
        if "publish" not in self.takes:
            self.publishing.set()

    async def give_back(self, what: str | Sequence[Return]) -> Written:
        if isinstance(what, str):
            await self._say(f"give back, {what}")
            return Written(0)
        await self._say(f"give back {[back.id.int for back in what]}")
        if self.refuses & {back.id.int for back in what}:
            raise RowRefused("P0001", "never again")
        self.rows = self.rows - {(back.id, back.token) for back in what}
        return Written(len(what), cast("tuple[Pending, ...]", ("pending",)))

    async def locked_among(self, ids: Sequence[TaskId]) -> set[TaskId]:
        await self._say(f"locked among {sorted(task_id.int for task_id in ids)}")
        return {task_id for task_id in ids if task_id.int in self.locks}

    async def held(self, consumer: str) -> set[RunKey]:
        await self._say(f"held by {consumer}")
        return self.rows

    def keys(self) -> set[RunKey]:
        return self.unwritten

    def hand_in(self, number: int) -> None:
        """An outcome."""
        self.waiting, self.unwritten = 1, {claim(number).key}

    @property
    def ended(self) -> bool:
        return self.writing.is_set()

    async def written(self) -> None:
        await self.writing.wait()

    async def stop(self) -> None:
        await self._say("stop the beat")

    async def unregister(self, consumer: str) -> None:
        await self._say(f"unregister {consumer}")

    def run(self, number: int, *, ends_after: float | None = None, on_stop: float | None = 0.0) -> Run:
        """A handler that ends by itself, or so long after it was stopped (None: never)."""
        run = begun(claim(number))
        self.capacity.take(1)
        self.capacity.occupy(1)
        stopped = asyncio.Event()

        async def life() -> None:
            try:
                async with asyncio.timeout(ends_after):
                    await stopped.wait()
                await asyncio.sleep(FOREVER if on_stop is None else on_stop)
            except TimeoutError:
                pass
            self.log.append(f"{number} {run.stop_reason.name if run.stop_reason else 'finished'}")
            self.capacity.vacate()
            self.running.remove(run)

        self.running.start(run, life())
        run.on_stop = lambda _: stopped.set()
        return run

    async def shut_down(self) -> Ending:
        async with asyncio.TaskGroup() as group:
            tasks = {
                name: group.create_task(self._until(event))
                for name, event in (
                    ("pull", self.pulling),
                    ("schedule", self.scheduling),
                    ("complete", self.writing),
                    ("publish", self.publishing),
                )
            }
            ending = await Shutdown(
                cast("Consumer", self),
                drain=timedelta(seconds=self.drain),
                forced=self.forced,
                report=self.events,
                **tasks,
            ).run()
            for task in tasks.values():
                task.cancel()
        return ending

    async def _until(self, event: asyncio.Event) -> None:
        await event.wait()


def after(seconds: float, act: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(seconds, act)
