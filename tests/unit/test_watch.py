from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random
from typing import Any, cast

import pytest

from sluice.consumer.lease import Beat
from sluice.consumer.liveness.watchdog import BeatThread, Heartbeat, Watch
from sluice.core.events import LoopStalled
from sluice.core.task import FencingToken, RunKey
from tests.support.eventually import eventually
from tests.unit.support import Clock, Events, task_id, trusted

A, B = (task_id(1), FencingToken(1)), (task_id(2), FencingToken(1))


class Scene:
    """A watch over a lease of 30 seconds, whose margin is 5."""

    def __init__(self) -> None:
        self.clock, self.events = Clock(), Events()
        self.lease = trusted(self.clock)
        self.runs: set[RunKey] = set()
        self.others: set[RunKey] = set()
        self.ended: list[str] = []
        self.watch = Watch(
            lease=self.lease,
            runs=lambda: set(self.runs),
            runs_of_others=lambda consumer: self.others if consumer == self.lease.consumer else set(),
            end_process=self.ended.append,
            clock=self.clock,
            report=self.events,
        )

    def look(self, *, after: float = 0, ticking: bool = True) -> None:
        self.clock.move(after)
        if ticking:
            self.watch.tick()
        self.watch.look()


def test_a_loop_that_runs_is_nothing_to_tell() -> None:
    s = Scene()
    for _ in range(20):
        s.look(after=4.9)
        s.lease.renewed(s.clock())
    assert s.events.all == []
    assert s.ended == []


def test_a_loop_that_stands_still_is_reported_once_with_its_stack() -> None:
    s = Scene()
    s.look(after=4.9, ticking=False)
    assert s.events.all == []
    s.look(after=0.2, ticking=False)
    s.look(after=10, ticking=False)

    [told] = s.events.of(LoopStalled)
    assert told.seconds == 5.1
    assert "test_a_loop_that_stands_still" in told.stack


def test_a_loop_that_stands_still_again_is_reported_again() -> None:
    s = Scene()
    s.look(after=6, ticking=False)
    s.look(after=1)
    s.look(after=6, ticking=False)
    assert len(s.events.of(LoopStalled)) == 2


def test_a_loop_that_stands_still_for_ten_leases_ends_the_process() -> None:
    s = Scene()
    for _ in range(30):
        s.lease.renewed(s.clock())  # the beat goes on
        s.look(after=10, ticking=False)
    assert s.ended == []
    s.look(after=1, ticking=False)
    assert s.ended == ["the event loop stood still for ten leases"]


def test_handlers_that_outlive_the_trust_by_more_than_the_margin_end_the_process() -> None:
    s = Scene()
    s.runs = {A}
    s.look(after=24.9)
    s.look(after=0.2)
    s.look(after=5)
    assert s.ended == []
    s.look(after=0.1)
    assert s.ended == ["handlers outlived the lease"]


def test_handlers_that_end_within_the_margin_do_not() -> None:
    s = Scene()
    s.runs = {A, B}
    s.look(after=25)
    s.runs = {B}
    s.look(after=4)
    s.runs = set()
    s.look(after=60)
    assert s.ended == []


def test_a_handler_of_the_lost_lease_is_not_forgiven_because_the_next_one_is_trusted() -> None:
    s = Scene()
    s.runs = {A}
    s.look(after=25)
    s.lease.ended()
    s.lease.renewed(s.clock())
    s.look(after=4)
    assert s.ended == []
    s.lease.renewed(s.clock())
    s.look(after=1.1)
    assert s.ended == ["handlers outlived the lease"]


def test_a_handler_of_a_former_id_is_found_though_the_new_one_was_trusted_before_the_look() -> None:
    """After a sleep of the machine: the beat came first, and registered anew."""
    s = Scene()
    s.runs = {A}
    s.look()
    s.lease.ended()
    s.lease.renewed(s.clock())
    s.runs, s.others = {A, B}, {A}
    s.look()
    s.look(after=4)
    assert s.ended == []
    s.lease.renewed(s.clock())
    s.look(after=1.1)
    assert s.ended == ["handlers outlived the lease"]


def test_handlers_that_start_under_the_next_lease_are_innocent() -> None:
    s = Scene()
    s.runs = {A}
    s.look(after=25)
    s.lease.renewed(s.clock())
    s.runs = {B}
    for _ in range(10):
        s.look(after=4)
        s.lease.renewed(s.clock())
    assert s.ended == []


def test_each_loss_of_trust_has_its_own_margin() -> None:
    s = Scene()
    s.look(after=25)
    s.lease.renewed(s.clock())
    s.look(after=20)
    s.runs = {A}
    s.look(after=5)
    s.look(after=4)
    assert s.ended == []
    s.look(after=1.1)
    assert s.ended == ["handlers outlived the lease"]


class Beating:
    """Stands in for a Beat: keeps on which thread it was called."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.open = 0

    async def step(self) -> timedelta:
        self.threads.append(threading.current_thread())
        return timedelta(milliseconds=1)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Beat]:
        self.open += 1
        yield cast("Beat", self)
        self.open -= 1


@pytest.fixture
def beating() -> Beating:
    return Beating()


@pytest.fixture
def thread(beating: Beating) -> tuple[BeatThread, Scene]:
    s = Scene()
    return (
        BeatThread(
            Heartbeat(
                open_beat=beating.opened,
                watch=s.watch,
                look_every=timedelta(milliseconds=1),
                report=s.events,
                random=Random(1),
            )
        ),
        s,
    )


async def test_beats_and_looks_go_on_while_the_loop_is_blocked(
    beating: Beating, thread: tuple[BeatThread, Scene]
) -> None:
    """They have a thread and a loop of their own (L2)."""
    beat, s = thread
    beat.start()
    await eventually(lambda: beating.threads)
    s.clock.move(6)  # the main loop does not tick, and from here on it is blocked

    before = len(beating.threads)
    blocked_until(lambda: len(beating.threads) > before + 2 and s.events.of(LoopStalled))

    assert "blocked_until" in s.events.of(LoopStalled)[0].stack
    assert {found.name for found in beating.threads} == {"beat"}
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
    beating: Beating, thread: tuple[BeatThread, Scene]
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
