"""One simulated consumer process: the real consumer, put together by the real assembly, on hosts of the simulated loop.

Its main thread, its beat's thread and its handlers' threads are hosts of their own.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from sluice.consumer.assembly import assemble
from sluice.consumer.loops import loops
from sluice.consumer.parts import Consumer, Machine
from sluice.consumer.serve import consume
from sluice.consumer.shutdown import Ending
from sluice.core.events import Event
from sluice.core.process.stop import StopOrder
from sluice.core.settings import ConsumerSettings
from sluice.core.task import ConsumerId, TaskId
from tests.simulation.handlers import SimChildren, SimThreads, registry
from tests.simulation.history import History
from tests.simulation.links import Links
from tests.simulation.process_hosts import BeatHost, ProcessHosts

if TYPE_CHECKING:
    from tests.simulation.world import World

_OF_THIS_RUN = {"traceback", "stack", "consumer", "task", "tasks", "reason", "next_at"}
"""What is not the same when a seed is lived again; nor is the pid in the words of reap."""
_QUIET = {"tasks.claimed", "tasks.finished", "tasks.submitted"}


class SimProcess(ProcessHosts):
    """Starts on construction. `left` is set when it has ended by itself or died. It serves all kinds but `without`."""

    def __init__(self, world: World, name: str, *, without: frozenset[str] = frozenset()) -> None:
        super().__init__(world, name)
        self.without = without
        self.history: History = world.history
        self.capacity = world.plan.capacity
        self.consumer: Consumer | None = None
        self.draining_since: float | None = None
        self.left = asyncio.Event()
        self._stop = StopOrder()
        self._random = world.random(name)
        self.links = Links(
            name,
            world.store,
            world.postgresql,
            (world.redis_server, world.redis) if world.plan.with_redis else None,
            lease=timedelta(seconds=world.plan.lease),
            handler_pool=asyncio.Semaphore(world.plan.handler_pool),
            report=self._report,
            lost_commit=lambda done: self.history.lost_commits.add((done.id, done.token)),
        )
        self.history.incarnations[name] = self
        self.loop.start(self.main, self._run())

    # What the world does to it.

    def die(self, why: str) -> None:
        """kill -9."""
        if self.dead:
            return
        self.dead = True
        self.history.note(f"{self.name} dies: {why}")
        for host in self._hosts:
            host.die()
        self.history.process_died(self)
        self.links.roll_back(commits=False)
        self.left.set()

    @property
    def stops_within(self) -> float:
        """How long after the end of the trust its handlers, or itself, have ended (L3 trust)."""
        return self.world.plan.lease * 0.25 + 0.3

    @property
    def drain_is_over(self) -> bool:
        """Its handlers had the time that they are granted: what they held goes back (C3 drain)."""
        since = self.draining_since
        return since is not None and self.loop.time() >= since + self.world.plan.drain - 0.01

    @property
    def drains_undisturbed(self) -> bool:
        """It is well and so is PostgreSQL, and the time that its handlers are granted is not over."""
        since = self.draining_since
        if since is None or self.drain_is_over or not self.world.plan.calm_postgresql:
            return False
        well_since = since - self.world.plan.lease
        disturbed = self.was_frozen(well_since) or self.world.stepped_ahead(well_since)
        return not disturbed and all(end < well_since for _, end in self.world.outages)

    def terminate(self) -> None:
        """SIGTERM; a second one hurries."""
        self.loop.call_soon(self._stop.ask, context=self.loop.context(self.main))

    def blameless(self, consumer: ConsumerId) -> bool:
        """Whether it is well and was, and lost this id by an outage of PostgreSQL or a step of its clock alone."""
        silent_since = self.history.beats.get(consumer)
        if silent_since is None or self.dead or self.draining_since is not None:
            return False
        if not self.world.plan.calm_postgresql or self.was_frozen(silent_since):
            return False
        absent = any(end > silent_since for _, end in self.world.outages)
        return absent or self.world.stepped_ahead(silent_since)

    # What its parts ask of it.

    def remember(self, task_id: TaskId, what: str) -> int:
        """How often this has happened to this task, in all processes."""
        self.world.memory[task_id, what] += 1
        return self.world.memory[task_id, what]

    def _report(self, event: Event) -> None:
        if self.history.over:
            return
        facts = {
            name: value
            for name, value in event.facts().items()
            if name not in _OF_THIS_RUN and (event.name, name) != ("upkeep.done", "why")
        }
        if event.name not in _QUIET:
            self.history.note(f"{self.name} {event.name} {facts}")
            told = {"tasks.given_back": "why", "upkeep.done": "step"}.get(event.name)
            self.history.marks[f"{event.name} {facts[told]}" if told else event.name] += event.count
        if event.name == "step.failed":
            self.history.wrong("step failed", f"{self.name}: {event.facts()}")

    def _end_process(self, why: str) -> None:
        self.history.marks[f"ended itself: {why}"] += 1
        self.die(why)

    async def _run(self) -> None:
        plan = self.world.plan
        settings = ConsumerSettings.model_construct(
            worker_queue_maxsize=plan.capacity,
            queues=plan.queues,
            drain_seconds=plan.drain,
            lease_seconds=plan.lease,
            handler_pool_size=plan.handler_pool,
            retention_days=0.0,
        )
        kinds = registry(self, self.without)
        machine = Machine(
            clock=self.loop.time,
            random=self._random,
            carrier=lambda heartbeat: BeatHost(heartbeat, loop=self.loop, host=self.beat),
            transaction=cast(Any, self.links.transaction),
        )
        consumer = assemble(
            settings,
            kinds,
            cast(Any, self.links),
            threads=cast(Any, SimThreads(self)),
            children=cast(Any, SimChildren(self)),
            end_process=self._end_process,
            report=self._report,
            machine=machine,
        )
        beside = loops(consumer, settings, self._report)
        self.consumer = consumer
        beside = self.world.ablation.without(self, beside)
        self._watch_drain()
        await consume(
            consumer,
            beside,
            settings,
            stop=self._stop,
            leave=self._leave,
            report=self._report,
            machine=machine,
        )
        self.die("its end")

    def _watch_drain(self) -> None:
        """Note when the stop reached the process."""
        ask = self._stop.ask

        def asked() -> None:
            if self.draining_since is None:
                self.draining_since = self.loop.time()
                self.history.note(f"{self.name} drains")
            ask()

        self._stop.ask = asked  # type: ignore[method-assign]

    def _leave(self, ending: Ending) -> None:
        """The ending is known: judge it. With threads or without a clean end the process ends here."""
        since = self.draining_since or 0.0
        took = self.loop.time() - since
        history, plan = self.history, self.world.plan
        history.note(f"{self.name} leaves: {ending}")
        history.marks["drained" if ending.clean else "drained without PostgreSQL"] += 1
        if took > plan.drain + 1.0 and not self.was_frozen(since):
            history.wrong("INV-11 drain", f"{self.name} took {took:.3f} s, granted {plan.drain} + 1 s")
        if ending.clean:
            for row in self.world.store.tables.tasks.values():
                if (
                    row.status == "processing"
                    and row.consumer_id is not None
                    and history.processes.get(row.consumer_id) is self
                ):
                    history.wrong("INV-11 drain", f"{history.name(row.id)} is left behind by {self.name}")
        if ending.threads or not ending.clean:
            self.die("its end")
