"""A watchdog whose lease, loop and runs are as a test says."""

from __future__ import annotations

from sluice.consumer.liveness.watchdog import Watchdog
from sluice.consumer.pulse import Pulse
from sluice.consumer.runs.running import Run
from sluice.core.task import ConsumerId, RunKey
from tests.unit.support import Clock, Events, trusted


class Scene:
    """A watchdog over a lease of 30 seconds, whose margin is 5. It is itself what knows the runs."""

    def __init__(self) -> None:
        self.clock, self.events = Clock(), Events()
        self.lease = trusted(self.clock)
        self.held: set[RunKey] = set()
        self.others: set[RunKey] = set()
        self.ended: list[str] = []
        self.pulse = Pulse(self.clock)
        self.working: list[Run] = []
        self.watchdog = Watchdog(
            lease=self.lease,
            running=self,
            end_process=self.ended.append,
            pulse=self.pulse,
            clock=self.clock,
            report=self.events,
        )

    def runs(self) -> list[Run]:
        return self.working

    def keys(self) -> set[RunKey]:
        return set(self.held)

    def keys_of_others(self, consumer: ConsumerId) -> set[RunKey]:
        return self.others if consumer == self.lease.consumer else set()

    def check(self, *, after: float = 0, ticking: bool = True) -> None:
        self.clock.move(after)
        if ticking:
            self.pulse.beat()
        self.watchdog.check()
