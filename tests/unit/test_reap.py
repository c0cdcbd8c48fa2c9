from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consumer.lease import Lease
from consumer.upkeep import reap as module
from consumer.upkeep.reap import Reap
from core.errors import RowRefused
from core.events import StepFailed, UpkeepDone
from core.task import FencingToken, RunKey
from db.upkeep import Turn
from tests.unit.support import Clock, Events, task_id, virtual


class Scene:
    """Reap under a lease of 30 seconds whose beats were good for a whole one. It is itself the store."""

    def __init__(self, *, dead: int = 0, seconds: float = 30) -> None:
        self.clock, self.events = Clock(), Events()
        self.lease = Lease(timedelta(seconds=seconds), self.clock)
        for _ in range(5):
            self.beat()
        self.dead = [(task_id(number), FencingToken(1)) for number in range(dead)]
        self.turn = True
        self.turns = self.ended = 0
        self.reaped: list[RunKey] = []
        self.spread: timedelta | None = None
        self.during_the_look: Callable[[], None] = lambda: None
        self.reap_step = Reap(store=self, lease=self.lease, report=self.events)

    def beat(self) -> None:
        self.lease.renewed(self.clock())
        self.clock.move(self.lease.duration / 4)

    async def take_turn(self, step: str, period: timedelta) -> Turn | None:
        assert (step, period) == ("reap", self.reap_step.period)
        self.turns += 1
        return Turn({}, datetime.now(UTC)) if self.turn else None

    async def end_turn(self, step: str, cursor: dict[str, Any], again: timedelta | None = None) -> None:
        assert (step, cursor, again) == ("reap", {}, timedelta())
        self.ended += 1

    async def dead_tries(self, n: int) -> list[RunKey]:
        self.during_the_look()
        return self.dead[:n]

    async def reap(self, dead: Sequence[RunKey], spread: timedelta) -> int:
        self.reaped += dead
        self.spread = spread
        return len(dead) - 1  # one of them was moved since the look


@virtual
async def test_what_the_look_found_is_reaped_by_id_and_token_and_counted_as_it_was_changed() -> None:
    s = Scene(dead=3)
    assert await s.reap_step.step() == timedelta(seconds=5)
    assert s.reaped == s.dead
    assert s.events.all == [UpkeepDone(2, step="reap")]


@virtual
async def test_nothing_dead_is_nothing_to_do() -> None:
    s = Scene()
    assert await s.reap_step.step() == timedelta(seconds=5)
    assert s.reaped == []
    assert s.events.all == []


@virtual
async def test_a_process_whose_own_beats_had_a_gap_judges_nobody_and_leaves_the_turn_to_others() -> None:
    s = Scene(dead=3)
    s.lease.missed()
    assert await s.reap_step.step() < timedelta(seconds=5)
    assert s.turns == 0

    s.beat()
    await s.reap_step.step()
    assert s.turns == 0, "after an outage nobody may at once"
    for _ in range(4):
        s.beat()
    await s.reap_step.step()
    assert s.reaped == s.dead


@virtual
async def test_a_process_that_loses_its_footing_between_look_and_act_does_not_act() -> None:
    s = Scene(dead=3)
    s.during_the_look = s.lease.missed
    await s.reap_step.step()
    assert s.reaped == []


@virtual
async def test_who_does_not_win_the_turn_does_nothing() -> None:
    s = Scene(dead=3)
    s.turn = False
    assert await s.reap_step.step() == timedelta(seconds=5)
    assert s.reaped == []


@virtual
async def test_more_than_a_chunk_goes_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 3)
    s = Scene(dead=3)
    assert await s.reap_step.step() == timedelta()
    assert s.ended == 1
    s.dead = s.dead[:2]
    assert await s.reap_step.step() == timedelta(seconds=5)
    assert s.ended == 1


@pytest.mark.parametrize(("lease", "period", "spread"), [(30, 5, 1), (6, 3, 1), (1, 0.5, 0.5)])
def test_a_short_lease_is_reaped_often_and_its_tasks_spread_over_less(
    lease: float, period: float, spread: float
) -> None:
    @virtual
    async def scene() -> None:
        s = Scene(dead=1, seconds=lease)
        assert await s.reap_step.step() == timedelta(seconds=period)
        assert s.spread == timedelta(seconds=spread)

    scene()


@virtual
async def test_a_row_that_is_refused_stays_alone_and_its_neighbours_are_reaped() -> None:
    s = Scene(dead=5)
    bad = s.dead[3]

    async def reap(dead: Sequence[RunKey], spread: timedelta) -> int:
        if bad in dead:
            raise RowRefused("P0001", "not this one")
        s.reaped += dead
        return len(dead)

    s.reap = reap  # type: ignore[method-assign]
    await s.reap_step.step()
    assert s.reaped == [key for key in s.dead if key != bad]
    told, done = s.events.all
    assert isinstance(told, StepFailed)
    assert str(bad[0]) in told.reason
    assert done == UpkeepDone(4, step="reap")


@virtual
async def test_a_chunk_of_which_every_row_is_refused_is_not_looked_at_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CHUNK", 2)
    s = Scene(dead=3)

    async def reap(dead: Sequence[RunKey], spread: timedelta) -> int:
        raise RowRefused("P0001", "none of them")

    s.reap = reap  # type: ignore[method-assign]
    assert await s.reap_step.step() == s.reap_step.period
    assert s.ended == 0
