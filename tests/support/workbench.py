"""A consumer's inner half in this process: claims go in, handlers run, outcomes are written to real rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from sluice.consumer.handlers.mark import MARK, handler
from sluice.consumer.handlers.registry import Handler, handlers_of
from sluice.consumer.intake.capacity import Capacity
from sluice.consumer.lease import Lease
from sluice.consumer.runs.complete import Complete
from sluice.consumer.runs.cpu.children import Children
from sluice.consumer.runs.execute import Execute
from sluice.consumer.runs.journal import Journal
from sluice.consumer.runs.quarantine import Quarantine
from sluice.consumer.runs.running import Running
from sluice.consumer.runs.sessions import Sessions
from sluice.consumer.runs.work import Work
from sluice.core.clock import boottime
from sluice.core.events import Event
from sluice.core.task import Claim, Kind, NewTask, Task
from sluice.core.waiting import Bell
from sluice.db.publisher import Publisher
from sluice.db.session import DEFAULT_LIMITS, Limits, make_engine
from tests.support.eventually import eventually
from tests.support.stores import Stores, new

KIND = "tested"


@dataclass(frozen=True, slots=True)
class Workbench:
    """`events` holds what the parts reported; `engine` is the one behind ctx.session()."""

    stores: Stores
    work: Work
    running: Running
    complete: Complete
    capacity: Capacity
    lease: Lease
    engine: AsyncEngine
    events: list[Event]

    async def start(self, **values: Any) -> Claim:
        """Submit a task, claim it and start its run."""
        return (await self.start_all(new(KIND, **values)))[0]

    async def start_all(self, *tasks: NewTask) -> Sequence[Claim]:
        """The same for several."""
        claims = await self.stores.claimed(*tasks)
        self.restart(*claims)
        return claims

    def restart(self, *claims: Claim) -> None:
        """Start runs of claims that a test has made."""
        self.capacity.take(len(claims))
        self.work.start(claims, self.lease.consumer)

    async def ended(self) -> None:
        """Until every run has ended and every outcome is written."""
        await eventually(lambda: len(self.running) == 0 and self.complete.waiting == 0)

    async def run(self, **values: Any) -> Task:
        """One task from its submission to the row that its first try left behind."""
        claim = await self.start(**values)
        await self.ended()
        return await self.stores.get(claim.id)


@asynccontextmanager
async def workbench(
    stores: Stores,
    database_url: str,
    function: Callable[..., Any],
    *,
    cpu_bound: bool = False,
    pool_size: int = 2,
    lock: timedelta = DEFAULT_LIMITS.lock,
) -> AsyncIterator[Workbench]:
    """`function` is the handler of KIND. `pool_size` and `lock` are of the connections behind ctx.session()."""
    events: list[Event] = []
    forever = timedelta(days=7)
    engine = make_engine(
        database_url,
        role="handler",
        pool_size=pool_size,
        limits=Limits(answer=forever, pool_wait=forever, lock=lock),
        transactional=True,
    )
    threads = ThreadPoolExecutor(4)
    children = Children(preload=[])
    vars(function).pop(MARK, None)
    [found] = handlers_of(handler(KIND, cpu_bound=cpu_bound)(function))
    registry: dict[Kind, Handler] = {Kind(KIND): found}
    lease = Lease(timedelta(minutes=10), boottime)
    lease.renewed(boottime())
    running, capacity = Running(), Capacity(100)
    complete = Complete(
        store=stores.claims,
        publisher=Publisher(stores.ready, stores.roster, report=events.append),
        report=events.append,
        bell=Bell(),
        capacity=capacity,
        high_mark=1000,
    )
    quarantine = Quarantine(
        consumers=stores.consumers,
        scan_bell=Bell(),
        clock=boottime,
        random=Random(1),
        report=events.append,
    )
    work = Work(
        registry=registry,
        execute=Execute(threads=threads, children=children),
        sessions=Sessions(engine=engine, running=running, lease=lease),
        complete=complete,
        quarantine=quarantine,
        running=running,
        journal=Journal(events.append, boottime),
        capacity=capacity,
        lease=lease,
        clock=boottime,
        random=Random(7),
        report=events.append,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(complete.run())
        try:
            yield Workbench(stores, work, running, complete, capacity, lease, engine, events)
        finally:
            complete.close()
    await children.close()
    threads.shutdown()
    await engine.dispose()
