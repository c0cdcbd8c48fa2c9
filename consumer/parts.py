"""The parts of one consumer, named: what assembly makes, loops keep going and the shutdown takes apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import TYPE_CHECKING

from consumer.transaction import Transaction
from consumer.watch import BeatThread
from core.clock import Clock, boottime

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumer.ahead import Ahead
    from consumer.complete import Complete
    from consumer.gate import Gate
    from consumer.lease import Lease
    from consumer.periodic import Bell, Stopping
    from consumer.presence import Presence
    from consumer.pull import Pull
    from consumer.reconcile import Reconcile
    from consumer.running import Running
    from consumer.schedule import Schedule
    from consumer.sessions import MakesTransaction
    from consumer.slots import Slots
    from consumer.watch import CarriesHeartbeat, Heartbeat, Watch
    from consumer.work import Work
    from db.claims import Claims
    from db.consumers import Consumers
    from db.publisher import Publisher
    from db.ready import ReadyLists


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
