"""The parts of one consumer, wing by wing: what assembly makes, loops keep going and the shutdown takes apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import TYPE_CHECKING

from sluice.consumer.liveness.heartbeat import HeartbeatThread
from sluice.consumer.runs.transaction import Transaction
from sluice.core.clock import Clock, boottime
from sluice.core.waiting import Stopping

if TYPE_CHECKING:
    from collections.abc import Callable

    from sluice.consumer.intake.capacity import Capacity
    from sluice.consumer.intake.claim import Claimer
    from sluice.consumer.intake.prefetch import Prefetch
    from sluice.consumer.intake.pull import Pull
    from sluice.consumer.intake.redis_health import RedisHealth
    from sluice.consumer.intake.schedule import Schedule
    from sluice.consumer.lease import Lease
    from sluice.consumer.liveness.heartbeat import CarriesHeartbeat, Heartbeat
    from sluice.consumer.liveness.reconcile import Reconcile
    from sluice.consumer.liveness.watchdog import Watchdog
    from sluice.consumer.pulse import Pulse
    from sluice.consumer.runs.complete import Complete
    from sluice.consumer.runs.journal import Journal
    from sluice.consumer.runs.quarantine import Quarantine
    from sluice.consumer.runs.running import Running
    from sluice.consumer.runs.transaction import MakesTransaction
    from sluice.consumer.runs.work import Work
    from sluice.consumer.stores import Stores
    from sluice.core.waiting import Bell


@dataclass(frozen=True, slots=True)
class Machine:
    """What a consumer takes from the machine it runs on, stores apart; the simulation has one of its own."""

    clock: Clock = boottime
    random: Random = field(default_factory=SystemRandom)
    carrier: Callable[[Heartbeat], CarriesHeartbeat] = HeartbeatThread
    transaction: MakesTransaction = Transaction


@dataclass(frozen=True, slots=True)
class Stops:
    """`intake` stops what brings work in, `end` what goes on while handlers finish in a drain."""

    intake: Stopping = field(default_factory=Stopping)
    end: Stopping = field(default_factory=Stopping)


@dataclass(frozen=True, slots=True)
class Runs:
    """The wing where claims are worked on."""

    work: Work
    running: Running
    complete: Complete
    quarantine: Quarantine
    journal: Journal


@dataclass(frozen=True, slots=True)
class Intake:
    """The wing that brings claims in."""

    pull: Pull
    schedule: Schedule
    claimer: Claimer
    prefetch: Prefetch
    redis_health: RedisHealth
    scan_bell: Bell


@dataclass(frozen=True, slots=True)
class Liveness:
    """The wing that keeps a consumer honest."""

    watchdog: Watchdog
    heartbeat: CarriesHeartbeat
    reconcile: Reconcile


@dataclass(frozen=True, slots=True)
class Consumer:
    """One consumer: what the loops keep going and the shutdown takes apart."""

    stops: Stops
    lease: Lease
    pulse: Pulse
    capacity: Capacity
    stores: Stores
    runs: Runs
    intake: Intake
    liveness: Liveness
