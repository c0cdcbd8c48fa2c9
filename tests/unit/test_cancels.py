from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from sluice.consumer.liveness.cancels import Listener
from sluice.consumer.runs.running import Running, Stop
from sluice.core.errors import StoreUnavailable
from sluice.core.task import FencingToken, RunKey
from sluice.core.waiting import Stopping
from tests.unit.support import begun, claim, task_id, virtual


class Scene:
    """A listener that hears `messages` and then loses its connection."""

    def __init__(self, *messages: RunKey | None) -> None:
        self.messages = messages
        self.heard = 0
        self.running, self.stopping = Running(), Stopping()
        self.missed = Stopping().bell()
        self.run = begun(claim(1, token=FencingToken(3)))
        self.running._runs[self.run.claim.key] = self.run
        self.listener = Listener(
            signals=self,
            running=self.running,
            missed=self.missed,
            stopping=self.stopping,
        )

    async def listen(self) -> AsyncIterator[RunKey | None]:
        for message in self.messages:
            self.heard += 1
            yield message
        raise StoreUnavailable("Redis", "connection lost")


@virtual
async def test_a_message_stops_the_run_that_it_names() -> None:
    s = Scene((task_id(1), FencingToken(2)), None, (task_id(1), FencingToken(3)))
    with pytest.raises(StoreUnavailable):
        await s.listener.step()
    assert s.run.stop_reason is Stop.CANCELED


@virtual
async def test_another_try_of_the_same_task_is_left_alone() -> None:
    s = Scene((task_id(1), FencingToken(2)), (task_id(2), FencingToken(3)))
    with pytest.raises(StoreUnavailable):
        await s.listener.step()
    assert not s.run.stopping


@virtual
async def test_what_may_have_been_missed_before_a_connection_is_looked_for_at_once() -> None:
    s = Scene()
    with pytest.raises(StoreUnavailable):
        await s.listener.step()
    await s.missed.wait()


@virtual
async def test_what_was_sent_while_it_connected_is_looked_for_once_the_server_has_it_as_a_listener() -> None:
    s = Scene(None, None)
    rung: list[int] = []
    s.missed.ring = lambda: rung.append(s.heard)
    with pytest.raises(StoreUnavailable):
        await s.listener.step()
    assert rung == [0, 1]


@virtual
async def test_a_stop_ends_the_listening_with_the_next_message() -> None:
    s = Scene(None, (task_id(1), FencingToken(3)))
    s.stopping.request()
    assert await s.listener.step() == timedelta()
    assert s.heard == 1
    assert not s.run.stopping
