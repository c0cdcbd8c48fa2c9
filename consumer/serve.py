"""One consumer from its first connection to its ending, wherever it lives: in a process of its own or beside an API.

Reads no environment, handles no signal and ends no process: its caller does.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sluice.consumer.assembly import assemble
from sluice.consumer.loops import loops
from sluice.consumer.parts import Machine
from sluice.consumer.periodic import every
from sluice.consumer.runs.cpu.children import Children
from sluice.consumer.shutdown import Ending, Shutdown
from sluice.consumer.stores import Stores
from sluice.consumer.upkeep.steps import STEPS
from sluice.core.events import ConsumerStarted
from sluice.core.process.stop import StopOrder
from sluice.core.waiting import unless
from sluice.db.consumers import ServedKind
from sluice.db.start import check_postgresql

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sluice.consumer.handlers.registry import Registry
    from sluice.consumer.loops import Loop
    from sluice.consumer.parts import Consumer
    from sluice.core.events import Report
    from sluice.core.settings import ConsumerSettings

MAX_THREADS = 1000


async def serve(
    settings: ConsumerSettings,
    registry: Registry,
    *,
    stop: StopOrder,
    leave: Callable[[Ending], None],
    end_process: Callable[[str], None],
    report: Report,
) -> Ending:
    """Consume until the stop is asked for, then drain; how it ended.

    `leave` is told the ending as soon as it is known: with threads that still run, or a store that hangs, the caller
    may have to end the process there, because what cannot be stopped cannot be awaited either. Raises
    ConfigurationError and StoreUnavailable at start.
    """
    stores = Stores(settings, report)
    threads = ThreadPoolExecutor(
        min(settings.worker_queue_maxsize, MAX_THREADS), thread_name_prefix="handler"
    )
    children = Children(sorted({handler.function.__module__ for handler in registry.values()}))
    try:
        if not await unless(stop.asked, prepare(stores, registry, report)):
            ending = Ending(left=0, threads=0, clean=True)
            leave(ending)
            return ending
        machine = Machine()
        consumer = assemble(
            settings,
            registry,
            stores,
            threads=threads,
            children=children,
            end_process=end_process,
            report=report,
            machine=machine,
        )
        beside = loops(consumer, settings, report)
        return await consume(
            consumer, beside, settings, stop=stop, leave=leave, report=report, machine=machine
        )
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        await children.close()
        await stores.close()


async def prepare(stores: Stores, registry: Registry, report: Report) -> None:
    """Make sure of what must be true before the first beat. Raises ConfigurationError and StoreUnavailable."""
    await check_postgresql(stores.engine, stores.schema, report)
    await stores.consumers.register_kinds(
        [
            ServedKind(kind, handler.schema, handler.max_attempts, handler.timeout)
            for kind, handler in registry.items()
        ]
    )
    await stores.upkeep.add_steps(STEPS)


async def consume(
    consumer: Consumer,
    beside: Sequence[Loop],
    settings: ConsumerSettings,
    *,
    stop: StopOrder,
    leave: Callable[[Ending], None],
    report: Report,
    machine: Machine,
) -> Ending:
    """Consume until the stop, then drain: what `serve` does between its preparation and its end."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(
                every(
                    loop.name,
                    loop.step,
                    stopping=loop.stopping,
                    report=report,
                    random=machine.random,
                    bell=loop.bell,
                    pulse=consumer.pulse,
                ),
                name=loop.name,
            )
            for loop in beside
        ]
        ending = await _pipeline(group, consumer, settings, stop, report)
        consumer.runs.journal.tell()
        leave(ending)
        consumer.stops.end.request()
        for task in tasks:
            task.cancel()
    return ending


async def _pipeline(
    group: asyncio.TaskGroup, consumer: Consumer, settings: ConsumerSettings, stop: StopOrder, report: Report
) -> Ending:
    """Run the pipeline, from the first beat to the end of the drain."""
    consumer.liveness.heartbeat.start()
    pull = group.create_task(consumer.intake.pull.run(), name="pull")
    schedule = group.create_task(consumer.intake.schedule.run(), name="schedule")
    complete = group.create_task(consumer.runs.complete.run(), name="complete")
    publish = group.create_task(consumer.stores.publisher.run(), name="publish")
    report(
        ConsumerStarted(
            str(consumer.lease.consumer),
            queues=settings.queues,
            kinds=tuple(sorted(consumer.runs.work.kinds)),
            capacity=settings.worker_queue_maxsize,
        )
    )
    await stop.asked.wait()
    shutdown = Shutdown(
        consumer,
        pull=pull,
        schedule=schedule,
        complete=complete,
        publish=publish,
        drain=settings.drain,
        forced=stop.forced,
        report=report,
    )
    return await shutdown.run()
