from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluice.consumer.upkeep import prune as module
from sluice.consumer.upkeep.prune import Prune
from sluice.core.errors import Hindered, RowRefused
from sluice.core.events import StepFailed, UpkeepDone
from sluice.core.task import TaskId
from sluice.db.upkeep import Ended, Old, Turn
from tests.unit.support import Events, task_id, virtual

MONTH = timedelta(days=30)


class Scene:
    """Prune over a store of rows that take so many bytes each. It is itself the store; one turn follows another."""

    def __init__(self, *, old: int = 0, retention: timedelta | None = MONTH) -> None:
        self.events = Events()
        self.rows = dict.fromkeys(range(1, old + 1), 100)
        self.turn = True
        self.cursor: dict[str, Any] = {}
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.log: list[str] = []
        self.sizes: list[int] = []
        self.bad: dict[int, Exception] = {}
        self.most = 10_000
        self.prune_step = Prune(store=self, retention=retention, report=self.events)

    async def take_turn(self, step: str, period: timedelta) -> Turn | None:
        assert (step, period) == ("prune", timedelta(minutes=1))
        return Turn(self.cursor, self.now) if self.turn else None

    async def end_turn(self, step: str, cursor: dict[str, Any], again: timedelta | None = None) -> None:
        assert (step, again) in {("prune", None), ("prune", timedelta())}
        self.cursor = json.loads(json.dumps(cursor))
        if again is not None:
            self.log.append("again")

    async def ended(self, age: timedelta, after: Ended, n: int) -> list[Old]:
        assert age == MONTH
        begin = 0 if after == Ended() else int(after.place[1:-3])
        return [
            Old(task_id(number), Ended("2025-01-01 00:00:00+00", f"({number},1)"), size)
            for number, size in self.rows.items()
            if number > begin
        ][:n]

    async def prune(self, ids: Sequence[TaskId], age: timedelta) -> int:
        assert age == MONTH
        self.sizes.append(len(ids))
        for one in ids:
            if one.int in self.bad:
                raise self.bad[one.int]
        if len(ids) > self.most:
            raise Hindered("PostgreSQL", "canceling statement due to statement timeout")
        for one in ids:
            del self.rows[one.int]
        self.log.append(f"pruned {len(ids)}")
        return len(ids)

    async def prune_consumers(self) -> int:
        self.log.append("consumers")
        return 1

    async def turns(self, most: int = 1000) -> int:
        """Turn after turn while they are due at once; how many it took."""
        for taken in range(1, most + 1):
            if await self.prune_step.step():
                return taken
        raise AssertionError("it never rests")


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
async def test_rows_that_postgresql_refuses_to_remove_stay_alone_and_are_tried_again_an_hour_later() -> None:
    """A foreign key of the user's to one old task kept all of them, for good."""
    s = Scene(old=20_000)
    s.bad = dict.fromkeys((1, 7000, 7001, 20_000), RowRefused("23503", "still referenced"))
    await s.turns()
    assert set(s.rows) == set(s.bad)
    told = s.events.of(StepFailed)
    assert all("still referenced" in one.reason for one in told)
    assert str(task_id(1)) in told[0].reason

    del s.sizes[:]
    s.bad.clear()
    s.rows[20_001] = 100
    assert await s.turns() == 1
    assert set(s.rows) == {1, 7000, 7001, 20_000}, "what becomes old later is met at once"
    s.now += timedelta(hours=1)
    await s.turns()
    assert s.rows == {}


@virtual
async def test_when_everything_is_refused_a_turn_has_an_end_and_a_row_costs_one_statement() -> None:
    s = Scene(old=2000)
    s.bad = dict.fromkeys(s.rows, RowRefused("23503", "still referenced"))
    assert 2000 / 101 < await s.turns() < 30
    assert len(s.sizes) < 2100
    assert len(s.rows) == 2000
    assert len(s.events.of(StepFailed)) < 30


@virtual
async def test_what_takes_too_long_is_removed_in_smaller_pieces_and_no_turn_waits_twice() -> None:
    s = Scene(old=3000)
    s.most = 40
    await s.turns()
    assert s.rows == {}
    assert s.sizes.count(5000) == 0
    assert max(s.sizes[10:]) <= 80


@virtual
async def test_one_row_that_always_takes_too_long_is_passed_over() -> None:
    s = Scene(old=100)
    s.bad = {50: Hindered("PostgreSQL", "canceling statement due to statement timeout")}
    await s.turns()
    assert set(s.rows) == {50}


@virtual
async def test_a_statement_has_a_bound_of_bytes() -> None:
    s = Scene(old=100)
    s.rows = dict.fromkeys(s.rows, 10 << 20)
    await s.turns()
    assert s.rows == {}
    assert set(s.sizes) == {3, 1}
    s.rows = {1: 1 << 30, 2: 1}
    s.now += timedelta(hours=2)
    await s.turns()
    assert s.rows == {}


@pytest.mark.parametrize(
    "cursor",
    [
        {"": 3},
        {
            "finished_at": "yesterday",
            "place": "(1,1)",
            "part": 0,
            "size": 3,
            "began": "2026-01-01T00:00:00+00:00",
        },
        {"finished_at": "infinity", "place": "1", "part": 0, "size": 3, "began": "2026-01-01T00:00:00+00:00"},
        {"finished_at": 3, "place": None, "part": 0, "size": 3, "began": "2026-01-01T00:00:00+00:00"},
        {"finished_at": "infinity", "place": "(1,1)", "part": 0, "size": 3, "began": "2026-01-01"},
        {
            "finished_at": "infinity",
            "place": "(1,1)",
            "part": 0,
            "size": 3,
            "began": "2026-01-01T01:00:00+00:00",
        },
        {
            "finished_at": "infinity",
            "place": "(1,1)",
            "part": 0,
            "size": 3,
            "began": "2025-12-31T23:00:00+00:00",
        },
    ],
)
def test_a_cursor_that_is_none_or_of_another_time_begins_anew(cursor: dict[str, Any]) -> None:
    """A database's clock may step either way."""

    @virtual
    async def scene() -> None:
        s = Scene(old=10)
        s.cursor = cursor
        await s.turns()
        assert s.rows == {}

    scene()


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
