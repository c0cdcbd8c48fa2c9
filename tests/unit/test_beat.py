from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from sluice.consumer.lease import Lease
from sluice.consumer.liveness.heartbeat import Beat
from sluice.core.errors import Hindered, StoreUnavailable
from sluice.core.events import LeaseLost, StoreBack, StoreLost
from sluice.core.task import ConsumerId
from sluice.db.consumers import Registration
from tests.unit.support import Clock, Events, virtual

FACTS = Registration("host", 1, [], [], 10, timedelta(seconds=30))
AWAY = StoreUnavailable("PostgreSQL", "gone")


class Store:
    """The consumers' rows: alive until they are forgotten. Answers after `slow` seconds of the clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.alive: set[ConsumerId] = set()
        self.dead: set[ConsumerId] = set()
        self.asked: list[str] = []
        self.away = False
        self.locked: ConsumerId | None = None
        self.slow = 0.0

    async def register(self, consumer: ConsumerId, facts: Registration) -> None:
        assert facts is FACTS
        self._answer("register")
        self.alive |= {consumer} - self.dead

    async def beat(self, consumer: ConsumerId, running: int) -> bool:
        self._answer(f"beat {running}")
        if consumer == self.locked:
            raise Hindered("PostgreSQL", "canceling statement due to lock timeout")
        return consumer in self.alive

    def _answer(self, asked: str) -> None:
        self.asked.append(asked)
        self.clock.move(self.slow)
        if self.away:
            raise AWAY


class Scene:
    """A beat over a store that can be switched off."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.lease = Lease(timedelta(seconds=30), self.clock)
        self.store, self.events = Store(self.clock), Events()
        self.beat = Beat(
            lease=self.lease,
            store=self.store,
            facts=FACTS,
            capacity=SimpleNamespace(busy=7),
            clock=self.clock,
            report=self.events,
        )


def scene(test: Callable[[Scene], Awaitable[None]]) -> Callable[[], Any]:
    @virtual
    async def run() -> None:
        await test(Scene())

    run.__name__ = test.__name__
    return run


@scene
async def test_the_first_beat_registers_and_is_only_good_when_the_row_is_alive(s: Scene) -> None:
    assert await s.beat.step() == timedelta(seconds=7.5)
    assert s.store.asked == ["register", "beat 7"]
    assert s.lease.trusted

    await s.beat.step()
    assert s.store.asked[2:] == ["beat 7"]


@scene
async def test_four_beats_fit_into_a_lease_so_that_one_may_be_lost(s: Scene) -> None:
    assert s.beat.period <= timedelta(seconds=30 / 3 / 1.1)


@scene
async def test_trust_is_counted_from_when_the_beat_was_sent(s: Scene) -> None:
    s.store.slow = 2
    sent_at = s.clock()
    await s.beat.step()
    assert s.lease.remaining == sent_at + 25 - s.clock() == 21


@scene
async def test_a_store_that_is_away_is_asked_again_soon_and_told_of_once(s: Scene) -> None:
    await s.beat.step()
    s.store.away = True

    pauses = [await s.beat.step() for _ in range(3)]
    s.store.away = False
    await s.beat.step()

    assert pauses == [timedelta(seconds=1)] * 3
    assert s.events.all == [
        StoreLost("PostgreSQL", doing="beat", reason="gone"),
        StoreBack("PostgreSQL", doing="beat"),
    ]
    assert s.lease.trusted


@scene
async def test_a_short_lease_is_retried_faster(s: Scene) -> None:
    short = Beat(
        lease=Lease(timedelta(seconds=1), s.clock),
        store=s.store,
        facts=FACTS,
        capacity=SimpleNamespace(busy=0),
        clock=s.clock,
        report=s.events,
    )
    s.store.away = True
    assert await short.step() == timedelta(seconds=0.125)


@scene
async def test_a_missed_beat_is_a_gap(s: Scene) -> None:
    for _ in range(10):
        await s.beat.step()
        s.clock.move(7.5)
    assert s.lease.unbroken
    s.store.away = True
    await s.beat.step()
    assert not s.lease.unbroken


@scene
async def test_who_finds_itself_declared_dead_registers_at_once_under_a_new_id(s: Scene) -> None:
    await s.beat.step()
    before = s.lease.consumer
    s.store.alive.clear()

    assert await s.beat.step() == timedelta()

    assert s.lease.consumer != before
    assert not s.lease.trusted
    assert [lost.consumer for lost in s.events.of(LeaseLost)] == [str(before)]

    del s.store.asked[:]
    await s.beat.step()
    assert s.store.asked == ["register", "beat 7"]
    assert s.store.alive == {s.lease.consumer}
    assert s.lease.trusted


@scene
async def test_registering_again_does_not_bring_an_id_back_that_others_saw_dead(s: Scene) -> None:
    s.store.away = True
    await s.beat.step()  # its registration may have arrived, and its row expired since
    s.store.dead.add(s.lease.consumer)
    s.store.away = False
    before = s.lease.consumer

    await s.beat.step()

    assert s.lease.consumer != before
    assert not s.lease.trusted


@scene
async def test_a_registration_whose_beat_had_no_answer_is_repeated(s: Scene) -> None:
    s.store.away = True
    await s.beat.step()
    s.store.away = False
    del s.store.asked[:]
    await s.beat.step()
    assert s.store.asked == ["register", "beat 7"]


@scene
async def test_who_can_not_renew_its_row_because_somebody_holds_it_locked_goes_on_under_another_id(
    s: Scene,
) -> None:
    """Once nothing is trusted any more: the lock may last for ever, and everything here would stand still."""
    await s.beat.step()
    before = s.store.locked = s.lease.consumer
    s.clock.move(7.5)
    assert await s.beat.step() == timedelta(seconds=1)
    assert s.lease.consumer == before
    s.clock.move(20)
    assert await s.beat.step() == timedelta()
    assert s.lease.former == before
    await s.beat.step()
    assert s.lease.trusted
    assert "lock timeout" in s.events.of(LeaseLost)[0].why
