from __future__ import annotations

from typing import cast

import pytest

from sluice.consumer.intake.prefetch import Prefetch
from sluice.consumer.liveness.distrust import Distrust
from sluice.consumer.runs.running import Run, Running, Stop
from tests.unit.support import Clock, claim, nothing, trusted, virtual


class Scene:
    """One run under a lease of 30 seconds, whose margin is 5."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.lease = trusted(self.clock)
        self.running = Running()
        self.refused = 0
        self.distrust = Distrust(self.lease, self.running, cast("Prefetch", self))
        self.run = Run(claim(), 0.0, self.lease.consumer, nothing)
        self.running._runs[self.run.claim.key] = self.run

    def refuse(self) -> None:
        self.refused += 1

    async def look(self) -> float:
        return (await self.distrust.step()).total_seconds()


@virtual
async def test_while_the_lease_is_trusted_handlers_run_and_it_is_looked_at_several_times_a_margin() -> None:
    s = Scene()
    assert await s.look() == 5 / 4
    assert not s.run.stopping


@virtual
async def test_the_next_look_is_when_the_trust_ends() -> None:
    s = Scene()
    s.clock.move(24.9)
    assert await s.look() == pytest.approx(0.1)
    s.clock.move(0.0999)
    assert await s.look() == 0.01


@virtual
async def test_handlers_are_stopped_when_the_trust_has_ended() -> None:
    s = Scene()
    s.clock.move(25)
    assert await s.look() == 5 / 4
    assert s.run.stop_reason is Stop.LEASE


@virtual
async def test_each_look_has_claims_that_may_not_start_any_more_go_back() -> None:
    s = Scene()
    await s.look()
    s.clock.move(25)
    await s.look()
    assert s.refused == 2


@virtual
async def test_handlers_of_a_former_id_are_stopped_though_the_new_one_is_trusted_already() -> None:
    s = Scene()
    s.lease.ended()
    s.lease.renewed(s.clock())
    successor = Run(claim(2), 0.0, s.lease.consumer, nothing)
    s.running._runs[successor.claim.key] = successor

    for _ in range(2):
        await s.look()
        assert s.run.stop_reason is Stop.LEASE
        assert not successor.stopping, "it was claimed under the new id, before anybody looked"
