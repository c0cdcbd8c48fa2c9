"""The parts of one consumer, named: what assembly makes, loops keep going and the shutdown takes apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import TYPE_CHECKING

from sluice.consumer.runs.transaction import Transaction
from sluice.consumer.liveness.watchdog import BeatThread
from sluice.core.clock import Clock, boottime

if TYPE_CHECKING:
    from collections.abc import Callable

    from sluice.consumer.intake.prefetch import Ahead
    from sluice.consumer.runs.complete import Complete
    from sluice.consumer.intake.claim import Gate
    from sluice.consumer.lease import Lease
    from sluice.consumer.periodic import Bell, Stopping
    from sluice.consumer.intake.redis_health import Presence
    from sluice.consumer.intake.pull import Pull
    from sluice.consumer.liveness.reconcile import Reconcile
    from sluice.consumer.runs.running import Running
    from sluice.consumer.intake.schedule import Schedule
    from sluice.consumer.runs.sessions import MakesTransaction
    from sluice.consumer.intake.slots import Slots
    from sluice.consumer.liveness.watchdog import CarriesHeartbeat, Heartbeat, Watch
    from sluice.consumer.runs.work import Work
    from sluice.db.claims import Claims
    from sluice.db.consumers import Consumers
    from sluice.db.publisher import Publisher
    from sluice.db.ready import ReadyLists


@dataclass(frozen=True, slots=True)
class Parts:
    """`intake` stops what brings work in, `the_end` what goes on while handlers finish in a drain."""

    intake: Stopping
    the_end: Stopping
    ready: ReadyLists | None
    pull: Pull
    rows: Bell
    presence: Presence
    schedule: Schedule
    work: Work
    running: Running
    slots: Slots
    ahead: Ahead
    gate: Gate
    complete: Complete
    reconcile: Reconcile
    claims: Claims
    publisher: Publisher
    consumers: Consumers
    lease: Lease
    watch: Watch
    beat: CarriesHeartbeat


@dataclass(frozen=True, slots=True)
class Machine:
    """What a consumer takes from the machine it runs on, stores apart; the simulation has one of its own."""

    clock: Clock = boottime
    random: Random = field(default_factory=SystemRandom)
    carrier: Callable[[Heartbeat], CarriesHeartbeat] = BeatThread
    transaction: MakesTransaction = Transaction
