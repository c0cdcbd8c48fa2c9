"""The parts of one consumer, named: what assembly makes, loops keep going and the shutdown takes apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import TYPE_CHECKING

from sluice.consumer.transaction import Transaction
from sluice.consumer.watch import BeatThread
from sluice.core.clock import Clock, boottime

if TYPE_CHECKING:
    from collections.abc import Callable

    from sluice.consumer.ahead import Ahead
    from sluice.consumer.complete import Complete
    from sluice.consumer.gate import Gate
    from sluice.consumer.lease import Lease
    from sluice.consumer.periodic import Bell, Stopping
    from sluice.consumer.presence import Presence
    from sluice.consumer.pull import Pull
    from sluice.consumer.reconcile import Reconcile
    from sluice.consumer.running import Running
    from sluice.consumer.schedule import Schedule
    from sluice.consumer.sessions import MakesTransaction
    from sluice.consumer.slots import Slots
    from sluice.consumer.watch import CarriesHeartbeat, Heartbeat, Watch
    from sluice.consumer.work import Work
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
