from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consumer.upkeep import prune as module
from consumer.upkeep.prune import Prune
from core.events import UpkeepDone
from db.upkeep import Turn
from tests.unit.support import Events, virtual

MONTH = timedelta(days=30)


class Scene:
    """Prune over a store that holds so many old rows. It is itself the store."""

    def __init__(self, *, old: int = 0, retention: timedelta | None = MONTH) -> None:
        self.events = Events()
        self.old, self.turn = old, True
        self.log: list[str] = []
        self.prune_step = Prune(store=self, retention=retention, report=self.events)

    async def take_turn(self, step: str, period: timedelta) -> Turn | None:
        assert (step, period) == ("prune", timedelta(minutes=1))
        return Turn({}, datetime.now(UTC)) if self.turn else None

    async def end_turn(self, step: str, cursor: dict[str, Any], again: timedelta | None = None) -> None:
        assert (step, cursor, again) == ("prune", {}, timedelta())
        self.log.append("again")

    async def prune(self, age: timedelta, n: int) -> int:
        assert age == MONTH
        pruned = min(self.old, n)
        self.old -= pruned
        self.log.append(f"pruned {pruned}")
        return pruned

    async def prune_consumers(self) -> int:
        self.log.append("consumers")
        return 1


@virtual
async def test_a_turn_removes_a_chunk_and_the_next_follows_at_once_while_there_is_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CHUNK", 3)
    s = Scene(old=5)
    assert await s.prune_step.step() == timedelta()
    assert await s.prune_step.step() == timedelta(minutes=1)
    assert s.log == ["consumers", "pruned 3", "again", "consumers", "pruned 2"]
    assert s.events.all == [UpkeepDone(3, step="prune"), UpkeepDone(2, step="prune")]


@virtual
async def test_nothing_old_is_nothing_to_tell() -> None:
    s = Scene()
    assert await s.prune_step.step() == timedelta(minutes=1)
    assert s.events.all == []


@virtual
async def test_without_retention_every_task_is_kept_and_dead_consumers_still_go() -> None:
    s = Scene(old=5, retention=None)
    assert await s.prune_step.step() == timedelta(minutes=1)
    assert s.log == ["consumers"]


@virtual
async def test_who_does_not_win_the_turn_does_nothing() -> None:
    s = Scene(old=5)
    s.turn = False
    assert await s.prune_step.step() == timedelta(minutes=1)
    assert s.log == []
