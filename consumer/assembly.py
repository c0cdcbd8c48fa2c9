"""One consumer put together: every part meets its neighbours here, and nothing runs yet."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sluice.consumer.intake.prefetch import Ahead
from sluice.consumer.runs.complete import Complete
from sluice.consumer.runs.execute import Execute
from sluice.consumer.intake.claim import Gate
from sluice.consumer.lease import Beat, Lease
from sluice.consumer.intake.lists import Lists
from sluice.consumer.intake.pace import Pace
from sluice.consumer.parts import Machine, Parts
from sluice.consumer.periodic import Stopping
from sluice.consumer.intake.redis_health import Presence
from sluice.consumer.intake.pull import Pull
from sluice.consumer.liveness.reconcile import Reconcile
from sluice.consumer.runs.running import Running
from sluice.consumer.intake.scan import Scan
from sluice.consumer.intake.schedule import Hint, Schedule
from sluice.consumer.runs.sessions import Sessions
from sluice.consumer.intake.slots import Slots
from sluice.consumer.runs.quarantine import Suspects
from sluice.consumer.liveness.watchdog import Heartbeat, Watch
from sluice.consumer.runs.work import Work
from sluice.db.consumers import Registration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from concurrent.futures import Executor

    from sluice.consumer.runs.cpu.children import Children
    from sluice.consumer.handlers.registry import Registry
    from sluice.consumer.stores import Stores
    from sluice.core.events import Report
    from sluice.core.settings import ConsumerSettings


def assemble(
    settings: ConsumerSettings,
    registry: Registry,
    stores: Stores,
    *,
    threads: Executor,
    children: Children,
    end_process: Callable[[str], None],
    report: Report,
    machine: Machine | None = None,
) -> Parts:
    """All parts of a consumer. `end_process` is what the beat's thread does when the process cannot keep the rules."""
    machine = machine or Machine()
    clock, random = machine.clock, machine.random
    capacity = settings.worker_queue_maxsize
    intake, the_end = Stopping(), Stopping()
    fed, room, rows, written = intake.bell(), intake.bell(), intake.bell(), the_end.bell()
    lease = Lease(settings.lease, clock)
    running, pace = Running(), Pace()
    queue: asyncio.Queue[Hint] = asyncio.Queue(capacity)

    def freed() -> None:
        ahead.vacated()
        fed.ring()
        room.ring()

    def brought(claimed: int) -> None:
        pull.brought(claimed)

    slots = Slots(capacity, freed)
    complete = Complete(
        store=stores.claims,
        publisher=stores.publisher,
        report=report,
        bell=written,
        high_mark=max(1000, 10 * capacity),
        lowered=freed,
    )
    suspects = Suspects(
        consumers=stores.consumers, next_one=rows.ring, clock=clock, random=random, report=report
    )
    work = Work(
        registry=registry,
        execute=Execute(threads=threads, children=children, report=report),
        sessions=Sessions(
            engine=stores.handler_engine, running=running, lease=lease, transaction=machine.transaction
        ),
        complete=complete,
        suspects=suspects,
        running=running,
        slots=slots,
        lease=lease,
        pace=pace,
        clock=clock,
        random=random,
        report=report,
    )
    # Else pull would fetch the same ids again at once, and claims run ahead of handlers that are slow now.
    ahead = Ahead(slots=slots, pace=pace, work=work, clock=clock, overdue=pace.forget)
    gate = Gate(
        store=stores.claims,
        kinds=list(registry),
        lease=lease,
        allowed=lambda: not complete.full,
        suspects=lambda: suspects.may_begin and not ahead.holds_suspect,
        start=ahead.put,
        report=report,
    )
    schedule = Schedule(
        queue=queue,
        slots=slots,
        ahead=ahead,
        gate=gate,
        ready=stores.ready,
        stopping=intake,
        bell=fed,
        taken=room.ring,
        brought=brought,
        too_far_ahead=pace.forget,  # else pull would fetch the same ids again at once
        clock=clock,
        report=report,
    )
    presence = Presence(stores.ready, report)
    facts = Registration(
        host=socket.gethostname(),
        pid=os.getpid(),
        queues=settings.queue_names,
        kinds=list(registry),
        capacity=capacity,
        lease=settings.lease,
    )
    roster = stores.roster
    lists = Lists(facts.signature, clock)
    roster.changed = lambda: lists.follow(roster.audiences)
    roster.include(facts.signature)
    scan = Scan(
        store=stores.claims,
        gate=gate,
        queues=settings.queue_names,
        kinds=list(registry),
        audiences=lambda: roster.audiences,
        consumers=lambda: roster.consumers,
        bell=rows,
        clock=clock,
    )
    pull = Pull(
        ready=stores.ready,
        presence=presence,
        lists=lists,
        scan=scan,
        queue=queue,
        slots=slots,
        ahead=ahead,
        gate=gate,
        pace=pace,
        fed=fed,
        stopping=intake,
        bell=room,
        clock=clock,
        report=report,
    )
    reconcile = Reconcile(
        store=stores.claims,
        lease=lease,
        gate=gate,
        running=running,
        ahead=ahead,
        complete=complete,
        clock=clock,
        report=report,
    )
    watch = Watch(
        lease=lease,
        runs=running.keys,
        runs_of_others=running.keys_of_others,
        end_process=end_process,
        clock=clock,
        report=report,
    )

    @asynccontextmanager
    async def open_beat() -> AsyncIterator[Beat]:
        async with stores.open_beats() as store:
            yield Beat(
                lease=lease,
                store=store,
                facts=facts,
                running=lambda: slots.busy,
                clock=clock,
                report=report,
            )

    return Parts(
        intake=intake,
        the_end=the_end,
        ready=stores.ready,
        pull=pull,
        rows=rows,
        presence=presence,
        schedule=schedule,
        work=work,
        running=running,
        slots=slots,
        ahead=ahead,
        gate=gate,
        complete=complete,
        reconcile=reconcile,
        claims=stores.claims,
        publisher=stores.publisher,
        consumers=stores.consumers,
        lease=lease,
        watch=watch,
        beat=machine.carrier(
            Heartbeat(
                open_beat=open_beat, watch=watch, look_every=settings.lease / 24, report=report, random=random
            )
        ),
    )
