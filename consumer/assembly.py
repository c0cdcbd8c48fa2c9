"""One consumer put together, wing by wing: every part meets its neighbours here, and nothing runs yet."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sluice.consumer.intake.capacity import Capacity
from sluice.consumer.intake.claim import Claimer
from sluice.consumer.intake.lists import Lists
from sluice.consumer.intake.prefetch import Prefetch
from sluice.consumer.intake.pull import Pull
from sluice.consumer.intake.redis_health import RedisHealth
from sluice.consumer.intake.scan import Scan
from sluice.consumer.intake.schedule import Hint, Schedule
from sluice.consumer.lease import Lease
from sluice.consumer.liveness.heartbeat import Heartbeat
from sluice.consumer.liveness.reconcile import Reconcile
from sluice.consumer.liveness.watchdog import Watchdog
from sluice.consumer.parts import Consumer, Intake, Liveness, Machine, Runs, Stops
from sluice.consumer.pulse import Pulse
from sluice.consumer.runs.complete import Complete
from sluice.consumer.runs.execute import Execute
from sluice.consumer.runs.journal import Journal
from sluice.consumer.runs.quarantine import Quarantine
from sluice.consumer.runs.running import Running
from sluice.consumer.runs.sessions import Sessions
from sluice.consumer.runs.work import Work
from sluice.db.consumers import Registration

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from sluice.consumer.handlers.registry import Registry
    from sluice.consumer.runs.cpu.children import Children
    from sluice.consumer.stores import Stores
    from sluice.core.events import Report
    from sluice.core.settings import ConsumerSettings
    from sluice.core.task import Kind
    from sluice.core.waiting import Bell


@dataclass(frozen=True, slots=True)
class _Base:
    """What every wing is built on."""

    settings: ConsumerSettings
    stores: Stores
    machine: Machine
    report: Report
    kinds: list[Kind]
    stops: Stops
    lease: Lease
    pulse: Pulse
    capacity: Capacity
    scan_bell: Bell


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
) -> Consumer:
    """Make all parts of a consumer. The heartbeat's thread calls `end_process` when rules cannot be kept."""
    machine, stops = machine or Machine(), Stops()
    base = _Base(
        settings=settings,
        stores=stores,
        machine=machine,
        report=report,
        kinds=list(registry),
        stops=stops,
        lease=Lease(settings.lease, machine.clock),
        pulse=Pulse(machine.clock),
        capacity=Capacity(settings.worker_queue_maxsize),
        scan_bell=stops.intake.bell(),
    )
    facts = Registration(
        host=socket.gethostname(),
        pid=os.getpid(),
        queues=settings.queue_names,
        kinds=base.kinds,
        capacity=base.capacity.slots,
        lease=settings.lease,
    )
    stores.roster.include(facts.signature)
    runs = _runs(base, registry, Execute(threads=threads, children=children))
    intake = _intake(base, facts, runs)
    return Consumer(
        stops=stops,
        lease=base.lease,
        pulse=base.pulse,
        capacity=base.capacity,
        stores=stores,
        runs=runs,
        intake=intake,
        liveness=_liveness(base, facts, runs, intake, end_process),
    )


def _runs(base: _Base, registry: Registry, execute: Execute) -> Runs:
    machine, stores, running = base.machine, base.stores, Running()
    complete = Complete(
        store=stores.claims,
        publisher=stores.publisher,
        report=base.report,
        bell=base.stops.end.bell(),
        capacity=base.capacity,
        high_mark=max(1000, 10 * base.capacity.slots),
        pulse=base.pulse,
    )
    quarantine = Quarantine(
        consumers=stores.consumers,
        scan_bell=base.scan_bell,
        clock=machine.clock,
        random=machine.random,
        report=base.report,
    )
    journal = Journal(base.report, machine.clock)
    work = Work(
        registry=registry,
        execute=execute,
        sessions=Sessions(
            engine=stores.handler_engine, running=running, lease=base.lease, transaction=machine.transaction
        ),
        complete=complete,
        quarantine=quarantine,
        running=running,
        journal=journal,
        capacity=base.capacity,
        lease=base.lease,
        clock=machine.clock,
        random=machine.random,
        report=base.report,
    )
    return Runs(work, running, complete, quarantine, journal)


def _intake(base: _Base, facts: Registration, runs: Runs) -> Intake:
    stores, capacity, clock, report = base.stores, base.capacity, base.machine.clock, base.report
    queue: asyncio.Queue[Hint] = asyncio.Queue(capacity.slots)
    pull_bell, schedule_bell = base.stops.intake.bell(), base.stops.intake.bell()
    redis_health = RedisHealth(stores.ready, report, base.pulse)
    prefetch = Prefetch(capacity=capacity, work=runs.work, clock=clock)
    for bell in (schedule_bell, pull_bell):
        capacity.when_freed(bell.ring)
    claimer = Claimer(
        store=stores.claims,
        kinds=base.kinds,
        lease=base.lease,
        complete=runs.complete,
        quarantine=runs.quarantine,
        prefetch=prefetch,
        report=report,
    )
    scan = Scan(
        store=stores.claims,
        claimer=claimer,
        redis_health=redis_health,
        queues=facts.queues,
        kinds=base.kinds,
        roster=stores.roster,
        scan_bell=base.scan_bell,
        clock=clock,
    )
    schedule = Schedule(
        queue=queue,
        capacity=capacity,
        prefetch=prefetch,
        claimer=claimer,
        scan=scan,
        ready=stores.ready,
        stopping=base.stops.intake,
        pull_bell=pull_bell,
        schedule_bell=schedule_bell,
        clock=clock,
        report=report,
        pulse=base.pulse,
    )
    pull = Pull(
        ready=stores.ready,
        redis_health=redis_health,
        lists=Lists(facts.signature, stores.roster, clock),
        scan=scan,
        queue=queue,
        capacity=capacity,
        prefetch=prefetch,
        claimer=claimer,
        stopping=base.stops.intake,
        pull_bell=pull_bell,
        schedule_bell=schedule_bell,
        clock=clock,
        report=report,
        pulse=base.pulse,
    )
    return Intake(pull, schedule, claimer, prefetch, redis_health, base.scan_bell)


def _liveness(
    base: _Base, facts: Registration, runs: Runs, intake: Intake, end_process: Callable[[str], None]
) -> Liveness:
    machine, report = base.machine, base.report
    watchdog = Watchdog(
        lease=base.lease,
        running=runs.running,
        end_process=end_process,
        pulse=base.pulse,
        clock=machine.clock,
        report=report,
    )
    heartbeat = Heartbeat(
        stores=base.stores,
        lease=base.lease,
        facts=facts,
        capacity=base.capacity,
        watchdog=watchdog,
        clock=machine.clock,
        random=machine.random,
        report=report,
    )
    reconcile = Reconcile(
        store=base.stores.claims,
        lease=base.lease,
        claimer=intake.claimer,
        running=runs.running,
        prefetch=intake.prefetch,
        complete=runs.complete,
        clock=machine.clock,
        report=report,
    )
    return Liveness(watchdog, machine.carrier(heartbeat), reconcile)
