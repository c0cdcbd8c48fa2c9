"""One simulated world: stores, an API, consumers, clients and disasters on one loop, all of it decided by a seed."""

from __future__ import annotations

import asyncio
import gc
import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any

from sluice.consumer.upkeep.steps import STEPS
from sluice.core.task import TaskId
from tests.simulation.ablations import INTACT, Ablation
from tests.simulation.api import Clients, SimApi
from tests.simulation.crowd import crowd
from tests.simulation.disasters import Disasters
from tests.simulation.history import History
from tests.simulation.links import WatchedRedis
from tests.simulation.loop import Stuck, make_loop
from tests.simulation.plan import Plan, plan
from tests.simulation.ports import Call, Server, State
from tests.simulation.process import SimProcess
from tests.simulation.store import SimStore

MAX_STEPS = 3_000_000
FOREVER = 1e6
_LOOK = 0.25


class World:
    """`run` it once. `trace` keeps every line when `keep` is set; `digest` sums them up in any case."""

    def __init__(
        self, seed: int, *, ablation: Ablation = INTACT, keep: bool = False, the_plan: Plan | None = None
    ) -> None:
        self.seed = seed
        self.ablation = ablation
        self.plan = the_plan or plan(seed)
        self.trace: list[str] = []
        self._keep = keep
        self._hash = hashlib.blake2b(digest_size=16)
        self.loop = make_loop(self.random("loop"), max_steps=MAX_STEPS, faulted=self._faulted)
        self.store = SimStore(self.loop.time, random=self.random("store"), broken=ablation.broken)
        self.history = History(self.loop.time, self.store, self.note, blind_to=ablation.blind_to)
        self.redis_server = WatchedRedis(self.history.message)
        server = partial(Server, loop=self.loop, note=self.note)
        self.postgresql = server(
            "PostgreSQL",
            random=self.random("postgresql"),
            weather=self.plan.postgresql,
            applied=self.history.applied,
        )
        self.redis = server(
            "Redis", random=self.random("redis"), weather=self.plan.redis, applied=_nothing_rests_on_it
        )
        self._nemesis = self.loop.host("nemesis")
        self.context = self.loop.context(self._nemesis)
        self.memory: Counter[tuple[TaskId, str]] = Counter()
        self.outages: list[tuple[float, float]] = []
        self.steps_ahead: list[float] = []
        self.row_locks: list[tuple[float, float, TaskId]] = []
        self.consumers: list[SimProcess] = []
        self.api: SimApi | None = None
        self.recovery = 0.0
        self._incarnations = 0
        self._healed = False
        self._survivor: SimProcess | None = None
        self._over = False
        self._random = self.random("world")
        self._disasters = Disasters(self, self._random)
        self.history.too_soon_to_judge = self._disasters.too_soon_to_judge
        self.history.neighbours_wait = self.neighbours_wait
        self.history.stepped_ahead = self.stepped_ahead

    def random(self, name: str) -> Random:
        """A source of its own for each part, so that a change in one does not shift the others."""
        return Random(f"{self.seed}/{name}")

    def note(self, line: str) -> None:
        """Into the trace."""
        if self._over:
            return
        text = f"{self.loop.time():.6f} {line}"
        self._hash.update(text.encode())
        if self._keep:
            self.trace.append(text)

    @property
    def digest(self) -> str:
        """Equal for equal traces."""
        return self._hash.hexdigest()

    def stepped_ahead(self, since: float) -> bool:
        """Whether the database's clock stepped ahead since then: all leases have run out at once."""
        return any(at >= since for at in self.steps_ahead)

    def neighbours_wait(self, task: TaskId, since: float) -> bool:
        """Whether nothing but the lock of another row can have held up what `task` waits for since then."""
        now = self.loop.time()
        if not self.plan.calm_postgresql:
            return False
        if any(end > since - self.plan.lease for _, end in self.outages):
            return False
        locks = [kept for begin, end, kept in self.row_locks if begin < now and end > since]
        return bool(locks) and task not in locks

    def run(self) -> History:
        """From the first task to the last judgement."""
        with _without_collections():
            try:
                self.loop.run_until_complete(self._life())
            except Stuck as stuck:
                self.history.wrong("stuck", str(stuck))
            finally:
                self._over = self.history.over = True
                self.loop.close()
        return self.history

    def _faulted(self, what: str) -> None:
        self.history.wrong("unhandled", what)

    # Its life.

    async def _life(self) -> None:
        await self.store.upkeep.add_steps(STEPS)
        unserved = crowd(self.random("the crowd"), self.plan.crowd)
        await self.store.tasks.submit(unserved)
        self.history.leave_alone(unserved)
        if self.plan.unserved and self.plan.consumers > 1:
            self.history.marks["consumers of different kinds"] += 1
        self.api = SimApi(self)
        for number in range(self.plan.consumers):
            self._start(number)
        clients = Clients(self, self.random("clients"))
        beside = [clients.run(errand) for errand in self.plan.errands]
        beside += [self._disasters.strike(disaster) for disaster in self.plan.disasters]
        tasks = [self.loop.spawn(self._nemesis, one) for one in beside]
        await asyncio.sleep(self.plan.chaos_seconds)
        if not self.plan.live:
            self.history.close(everything_ended=False)
            return
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._heal()
        healed_at = self.loop.time()
        deadline = healed_at + self.plan.patience
        while self.history.unended() and self.loop.time() < deadline and not self.history.violations:
            await asyncio.sleep(_LOOK)
        self.recovery = self.loop.time() - healed_at
        self.history.close(everything_ended=True)

    def _start(self, number: int) -> SimProcess:
        self._incarnations += 1
        process = SimProcess(
            self, f"c{number}-{self._incarnations}", without=self.plan.unserved if number else frozenset()
        )
        self.consumers = [*(one for one in self.consumers if not one.dead), process]
        self.loop.start(self._nemesis, self._supervise(number, process))
        return process

    async def _supervise(self, number: int, process: SimProcess) -> None:
        """A process that ended is started again; after the healing only the survivor."""
        await process.left.wait()
        await asyncio.sleep(self._random.uniform(0.05, 2.0))
        if not self._healed or process is self._survivor:
            fresh = self._start(number)
            if self._healed:
                self._survivor = fresh

    def _heal(self) -> None:
        """PostgreSQL and one consumer are well from now on; Redis perhaps."""
        self._healed = True
        random = self._random
        for weather in (self.postgresql.weather, self.redis.weather):
            weather.calm()
        self._disasters.restore(self.postgresql)
        if self.plan.redis_stays:
            self.redis_server.readonly = False
            self.redis_server.full = self.plan.redis_full
            self.redis.change(State.UP)
        else:
            self.redis.change(random.choice((State.REFUSING, State.DARK)))
        well = [
            one
            for one in self.consumers
            if not (one.dead or one.paused or one.draining_since is not None or one.without)
        ]
        survivor = random.choice(well) if well else self._start(0)
        self._survivor = survivor
        for other in list(self.consumers):
            if other is not survivor:
                random.choice(
                    (partial(other.die, "at the healing"), partial(other.pause, FOREVER), _nothing)
                )()
        self.note(f"healed; {survivor.name} survives")


def _nothing_rests_on_it(_: Call) -> None:
    """What Redis does is not judged (INV-14)."""


def _nothing() -> None:
    """Left as it is."""


@contextmanager
def _without_collections() -> Iterator[Any]:
    """When an object goes must not depend on what the interpreter did before."""
    gc.collect(0)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
