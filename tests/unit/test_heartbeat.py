"""The heartbeat's thread: beats and checks go on while the main loop is blocked."""

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
from sluice.core.events import LoopStalled
from sluice.core.task import ConsumerId
from sluice.db.consumers import Registration
from tests.support.eventually import eventually
from tests.unit.watching import Scene


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
