from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from sluice.consumer.lease import Lease
from sluice.consumer.liveness.heartbeat import Heartbeat, HeartbeatThread
from sluice.consumer.liveness.watchdog import Watchdog
from sluice.core.events import LoopStalled
from sluice.core.task import ConsumerId, FencingToken, RunKey
from sluice.db.consumers import Registration
from tests.support.eventually import eventually
from tests.unit.support import Clock, Events, task_id, trusted

A, B = (task_id(1), FencingToken(1)), (task_id(2), FencingToken(1))


class Scene:
    """A watchdog over a lease of 30 seconds, whose margin is 5. It is itself what knows the runs."""

    def __init__(self) -> None:
        self.clock, self.events = Clock(), Events()
        self.lease = trusted(self.clock)
        self.runs: set[RunKey] = set()
        self.others: set[RunKey] = set()
        self.ended: list[str] = []
        self.watchdog = Watchdog(
            lease=self.lease,
            running=self,
            end_process=self.ended.append,
            clock=self.clock,
            report=self.events,
        )

    def keys(self) -> set[RunKey]:
        return set(self.runs)

    def keys_of_others(self, consumer: ConsumerId) -> set[RunKey]:
        return self.others if consumer == self.lease.consumer else set()

    def check(self, *, after: float = 0, ticking: bool = True) -> None:
        self.clock.move(after)
        if ticking:
            self.watchdog.tick()
        self.watchdog.check()


def test_a_loop_that_runs_is_nothing_to_tell() -> None:
    s = Scene()
    for _ in range(20):
        s.check(after=4.9)
        s.lease.renewed(s.clock())
    assert s.events.all == []
    assert s.ended == []


def test_a_loop_that_stands_still_is_reported_once_with_its_stack() -> None:
    s = Scene()
    s.check(after=4.9, ticking=False)
    assert s.events.all == []
    s.check(after=0.2, ticking=False)
    s.check(after=10, ticking=False)

    [told] = s.events.of(LoopStalled)
    assert told.seconds == 5.1
    assert "test_a_loop_that_stands_still" in told.stack


def test_a_loop_that_stands_still_again_is_reported_again() -> None:
    s = Scene()
    s.check(after=6, ticking=False)
    s.check(after=1)
    s.check(after=6, ticking=False)
    assert len(s.events.of(LoopStalled)) == 2


def test_a_loop_that_stands_still_for_ten_leases_ends_the_process() -> None:
    s = Scene()
    for _ in range(30):
        s.lease.renewed(s.clock())  # the beat goes on
        s.check(after=10, ticking=False)
    assert s.ended == []
    s.check(after=1, ticking=False)
    assert s.ended == ["the event loop stood still for ten leases"]


def test_handlers_that_outlive_the_trust_by_more_than_the_margin_end_the_process() -> None:
    s = Scene()
    s.runs = {A}
    s.check(after=24.9)
    s.check(after=0.2)
    s.check(after=5)
    assert s.ended == []
    s.check(after=0.1)
    assert s.ended == ["handlers outlived the lease"]


def test_handlers_that_end_within_the_margin_do_not() -> None:
    s = Scene()
    s.runs = {A, B}
    s.check(after=25)
    s.runs = {B}
    s.check(after=4)
    s.runs = set()
    s.check(after=60)
    assert s.ended == []


def test_a_handler_of_the_lost_lease_is_not_forgiven_because_the_next_one_is_trusted() -> None:
    s = Scene()
    s.runs = {A}
    s.check(after=25)
    s.lease.ended()
    s.lease.renewed(s.clock())
    s.check(after=4)
    assert s.ended == []
    s.lease.renewed(s.clock())
    s.check(after=1.1)
    assert s.ended == ["handlers outlived the lease"]


def test_a_handler_of_a_former_id_is_found_though_the_new_one_was_trusted_before_the_look() -> None:
    """After a sleep of the machine: the beat came first, and registered anew."""
    s = Scene()
    s.runs = {A}
    s.check()
    s.lease.ended()
    s.lease.renewed(s.clock())
    s.runs, s.others = {A, B}, {A}
    s.check()
    s.check(after=4)
    assert s.ended == []
    s.lease.renewed(s.clock())
    s.check(after=1.1)
    assert s.ended == ["handlers outlived the lease"]


def test_handlers_that_start_under_the_next_lease_are_innocent() -> None:
    s = Scene()
    s.runs = {A}
    s.check(after=25)
    s.lease.renewed(s.clock())
    s.runs = {B}
    for _ in range(10):
        s.check(after=4)
        s.lease.renewed(s.clock())
    assert s.ended == []


def test_each_loss_of_trust_has_its_own_margin() -> None:
    s = Scene()
    s.check(after=25)
    s.lease.renewed(s.clock())
    s.check(after=20)
    s.runs = {A}
    s.check(after=5)
    s.check(after=4)
    assert s.ended == []
    s.check(after=1.1)
    assert s.ended == ["handlers outlived the lease"]


class Beating:
    """The store of beats: keeps on which thread it was called."""

    busy = 0

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.open = 0

    async def register(self, consumer: ConsumerId, facts: Registration) -> None: ...

    async def beat(self, *_: object) -> bool:
        self.threads.append(threading.current_thread())
        return True

    @asynccontextmanager
    async def open_beats(self) -> AsyncIterator[Beating]:
        self.open += 1
        yield self
        self.open -= 1


@pytest.fixture
def beating() -> Beating:
    return Beating()


@pytest.fixture
def thread(beating: Beating) -> tuple[HeartbeatThread, Scene]:
    s = Scene()
    return (
        HeartbeatThread(
            Heartbeat(
                stores=beating,
                lease=Lease(timedelta(milliseconds=24), s.clock),
                facts=Registration("host", 1, [], [], 1, timedelta(milliseconds=24)),
                capacity=beating,
                watchdog=s.watchdog,
                clock=s.clock,
                random=Random(1),
                report=s.events,
            )
        ),
        s,
    )


async def test_beats_and_looks_go_on_while_the_loop_is_blocked(
    beating: Beating, thread: tuple[HeartbeatThread, Scene]
) -> None:
    """They have a thread and a loop of their own (L2 heartbeat)."""
    beat, s = thread
    beat.start()
    await eventually(lambda: beating.threads)
    s.clock.move(6)  # the main loop does not tick, and from here on it is blocked

    before = len(beating.threads)
    blocked_until(lambda: len(beating.threads) > before + 2 and s.events.of(LoopStalled))

    assert "blocked_until" in s.events.of(LoopStalled)[0].stack
    assert {found.name for found in beating.threads} == {"heartbeat"}
    assert all(found.daemon for found in beating.threads)
    await beat.stop()


def blocked_until(fact: Any) -> None:
    """Block this thread, and the loop on it."""
    waiting = threading.Event()
    for _ in range(1000):
        if fact():
            return
        waiting.wait(0.01)
    raise AssertionError("not within 10 s")


async def test_stopping_ends_the_beats_closes_their_connection_and_ends_the_thread(
    beating: Beating, thread: tuple[HeartbeatThread, Scene]
) -> None:
    beat, _ = thread
    beat.start()
    await eventually(lambda: beating.threads)
    assert beating.open == 1
    async with asyncio.timeout(10):
        await beat.stop()

    assert beating.open == 0
    assert not beating.threads[0].is_alive()
    async with asyncio.timeout(10):
        await beat.stop()
