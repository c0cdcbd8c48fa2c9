"""One consumer from its first connection to its ending, wherever it lives: in a process of its own or beside an API.

Reads no environment, handles no signal and ends no process: its caller does.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sluice.consumer.assembly import assemble
from sluice.consumer.runs.cpu.children import Children
from sluice.consumer.loops import STEPS, loops
from sluice.consumer.parts import Machine
from sluice.consumer.periodic import every
from sluice.consumer.shutdown import Ending, Shutdown
from sluice.consumer.stores import Stores
from sluice.core.events import ConsumerStarted, StoreLost
from sluice.core.process.stop import StopOrder
from sluice.db.consumers import ServedKind
from sluice.db.schema import check
from sluice.db.start import await_postgresql

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from sluice.consumer.loops import Loop
    from sluice.consumer.parts import Parts
    from sluice.consumer.handlers.registry import Registry
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
        if not await _unless(stop.asked, prepare(stores, registry, report)):
            ending = Ending(left=0, threads=0, clean=True)
            leave(ending)
            return ending
        machine = Machine()
        parts = assemble(
            settings,
            registry,
            stores,
            threads=threads,
            children=children,
            end_process=end_process,
            report=report,
            machine=machine,
        )
        beside = loops(parts, stores, settings, report)
        return await consume(parts, beside, settings, stop=stop, leave=leave, report=report, machine=machine)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        await children.close()
        await stores.close()


async def prepare(stores: Stores, registry: Registry, report: Report) -> None:
    """What must be true before the first beat. Raises ConfigurationError and StoreUnavailable."""
    await await_postgresql(
        stores.engine, on_wait=lambda reason: report(StoreLost("PostgreSQL", doing="start", reason=reason))
    )
    await check(stores.engine, stores.schema)
    await stores.database.refuse_unsafe_server()
    await stores.consumers.register_kinds(
        [
            ServedKind(kind, handler.schema, handler.max_attempts, handler.timeout)
            for kind, handler in registry.items()
        ]
    )
    await stores.upkeep.add_steps(STEPS)


async def consume(
    parts: Parts,
    beside: Sequence[Loop],
    settings: ConsumerSettings,
    *,
    stop: StopOrder,
    leave: Callable[[Ending], None],
    report: Report,
    machine: Machine,
) -> Ending:
    """What `serve` does between the preparation and the closing of the stores: consume until the stop, then drain."""
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
                ),
                name=loop.name,
            )
            for loop in beside
        ]
        ending = await _pipeline(group, parts, settings, stop, report)
        leave(ending)
        parts.the_end.request()
        for task in tasks:
            task.cancel()
    return ending


async def _pipeline(
    group: asyncio.TaskGroup, parts: Parts, settings: ConsumerSettings, stop: StopOrder, report: Report
) -> Ending:
    """The pipeline, from the first beat to the end of the drain."""
    parts.beat.start()
    pull = group.create_task(parts.pull.run(), name="pull")
    schedule = group.create_task(parts.schedule.run(), name="schedule")
    complete = group.create_task(parts.complete.run(), name="complete")
    publish = group.create_task(parts.publisher.run(), name="publish")
    report(
        ConsumerStarted(
            str(parts.lease.consumer),
            queues=settings.queues,
            kinds=tuple(sorted(parts.work.kinds)),
            capacity=settings.worker_queue_maxsize,
        )
    )
    await stop.asked.wait()
    shutdown = Shutdown(
        parts,
        pull=pull,
        schedule=schedule,
        complete=complete,
        publish=publish,
        drain=settings.drain,
        forced=stop.forced,
        report=report,
    )
    return await shutdown.run()


async def _unless(event: asyncio.Event, act: Coroutine[None, None, None]) -> bool:
    """Do `act` to its end unless the event comes first; whether it was done. Raises what it raises."""
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(event.wait())
        acting = group.create_task(_caught(act))
        await asyncio.wait({acting, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        acting.cancel()
    if acting.cancelled():
        return False
    error = acting.result()
    if error is not None:
        raise error
    return True


async def _caught(act: Coroutine[None, None, None]) -> Exception | None:
    """What `act` raised, as a value: a TaskGroup would wrap it."""
    try:
        await act
    except Exception as error:  # noqa: BLE001 - raised again by the caller
        return error
    return None
