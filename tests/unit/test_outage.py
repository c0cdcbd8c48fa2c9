# mypy: disable-error-code=unreachable
# It takes a property for a constant.
"""What is told of a store that is away, and what is not: our own loop may have stood still."""

from __future__ import annotations

from sluice.consumer.outage import Outage
from sluice.consumer.pulse import PERIOD_SECONDS, Pulse
from sluice.core.errors import StoreUnavailable
from sluice.core.events import StoreBack, StoreLost
from tests.unit.support import Clock, Events

AWAY = StoreUnavailable("Redis", "timed out")


class Scene:
    def __init__(self) -> None:
        self.clock, self.events = Clock(), Events()
        self.pulse = Pulse(self.clock)
        self.outage = Outage("pull", self.events, self.pulse)

    def goes_round(self, seconds: float) -> None:
        end = self.clock() + seconds
        while self.clock() < end:
            self.clock.move(PERIOD_SECONDS)
            self.pulse.beat()


def test_an_outage_is_told_when_it_begins_and_when_it_is_over() -> None:
    s = Scene()
    for _ in range(2):
        s.goes_round(5)
        s.outage.met(AWAY)
        s.outage.met(AWAY)
        assert s.outage.on
        s.outage.over()
        s.outage.over()
        assert not s.outage.on
    assert s.events.all == 2 * [
        StoreLost("Redis", doing="pull", reason="timed out"),
        StoreBack("Redis", doing="pull"),
    ]


def test_what_fails_because_the_loop_stood_still_is_no_outage_whoever_wakes_first() -> None:
    s = Scene()
    s.goes_round(5)
    s.clock.move(6)
    s.outage.met(AWAY)  # its timer came before the pulse's
    s.pulse.beat()
    s.outage.met(AWAY)
    assert s.outage.on, "whoever is to blame: what depends on it goes another way"
    s.outage.over()
    assert not s.outage.on
    assert s.events.all == []


def test_a_store_that_fails_again_and_again_is_away_however_often_the_loop_stands_still() -> None:
    s = Scene()
    for _ in range(3):
        assert s.events.all == []
        s.clock.move(1.2)
        s.pulse.beat()
        s.outage.met(AWAY)
    assert s.events.all == [StoreLost("Redis", doing="pull", reason="timed out")]


def test_a_store_that_is_still_away_a_moment_later_is() -> None:
    s = Scene()
    s.clock.move(6)
    s.goes_round(2)
    s.outage.met(AWAY)
    assert s.events.all == [StoreLost("Redis", doing="pull", reason="timed out")]
