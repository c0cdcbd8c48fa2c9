"""A database and Redis of republish's own, small enough to see every entry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from consumer.upkeep.republish import Republish
from core.errors import OutcomeUnknown
from core.task import QueueName, ReadyList, TaskId
from db.ready import decode
from db.upkeep import LookedAt, Place, Turn
from tests.unit.support import Events, task_id

START = datetime(2026, 1, 1, tzinfo=UTC)
LIST = ReadyList(QueueName("default"), 5)
MAIL = ReadyList(QueueName("mail"), 9)
LEASE = timedelta(seconds=30)
SLACK = 3.0


class Stores:
    """Pending rows and Redis lists (the oldest entry first), and a clock for both."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.rows: dict[ReadyList, dict[TaskId, float]] = {LIST: {}}
        self.unserved: set[TaskId] = set()
        self.lists: dict[ReadyList, list[bytes]] = {}
        self.cursor: dict[str, Any] = {}
        self.next_run_at = 0.0
        self.pushed: Counter[TaskId] = Counter()
        self.ends = 0
        self.away = False
        self.while_rows_are_read: Callable[[], object] = lambda: None

    def time(self, seconds: float | None = None) -> datetime:
        return START + timedelta(seconds=self.now if seconds is None else seconds)

    async def take_turn(self, step: str, period: timedelta) -> Turn | None:
        assert step == "republish"
        if self.next_run_at > self.now:
            return None
        self.next_run_at = self.now + period.total_seconds()
        return Turn(orjson.loads(orjson.dumps(self.cursor)), self.time())

    async def end_turn(self, step: str, cursor: dict[str, Any], again: timedelta | None = None) -> None:
        assert step == "republish"
        self.cursor = cursor
        self.ends += 1
        if again is not None:
            self.next_run_at = min(self.next_run_at, self.now + again.total_seconds())

    async def ready_lists(self) -> list[ReadyList]:
        return [ready for ready, rows in self.rows.items() if rows]

    async def ready_among(self, ready: ReadyList, ids: Sequence[TaskId]) -> dict[TaskId, datetime]:
        self.while_rows_are_read()
        rows = self.rows.get(ready, {})
        return {found: self.time(rows[found]) for found in ids if rows.get(found, self.now + 1) <= self.now}

    async def chunk(
        self, ready: ReadyList, after: Place, watermark: datetime | None, slack: timedelta, n: int
    ) -> list[LookedAt]:
        before = (watermark or self.time()) - slack
        places = sorted(Place(self.time(run_at), found) for found, run_at in self.rows[ready].items())
        fitting = [place for place in places if place > after and place.run_at < before][:n]
        return [LookedAt(place, place.id not in self.unserved) for place in fitting]

    async def length(self, ready: ReadyList) -> int:
        if self.away:
            raise OutcomeUnknown("Redis", "gone")
        return len(self.lists.get(ready, []))

    async def oldest(self, ready: ReadyList, n: int) -> list[bytes]:
        return self.lists[ready][:n]

    async def remove_oldest(self, ready: ReadyList, entries: Sequence[bytes]) -> bool:
        untouched = self.lists[ready][: len(entries)] == entries
        if untouched:
            del self.lists[ready][: len(entries)]
        return untouched

    async def unlink(self, ready: ReadyList) -> None:
        self.lists.pop(ready, None)

    async def push_oldest(self, ids: Mapping[ReadyList, Sequence[TaskId]]) -> None:
        for ready, found in ids.items():
            self.pushed.update(found)
            self.lists[ready] = [str(each).encode() for each in found] + self.lists.get(ready, [])


class Scene:
    """Republish over such stores."""

    def __init__(self, lease: timedelta = LEASE) -> None:
        self.stores, self.events = Stores(), Events()
        self.republish = Republish(store=self.stores, ready=self.stores, lease=lease, report=self.events)

    def pending(self, numbers: Iterable[int], *, listed: bool, age: float = 100.0) -> None:
        """Rows that have waited `age` seconds and a thousandth less each; listed in that order, or lost."""
        for at, number in enumerate(numbers):
            self.stores.rows[LIST][task_id(number)] = self.stores.now - age + at / 1000
            if listed:
                self.stores.lists.setdefault(LIST, []).append(str(task_id(number)).encode())

    async def turn(self, *, after: float = 0.0) -> timedelta:
        self.stores.now += after
        return await self.republish.step()

    async def early_turn(self, *, after: float) -> timedelta:
        """One that another list made due."""
        self.stores.next_run_at = 0.0
        return await self.turn(after=after)

    def consume(self, *numbers: int) -> None:
        """These, the oldest that are listed, are popped and done."""
        for number in numbers:
            del self.stores.rows[LIST][task_id(number)]
        del self.stores.lists[LIST][: len(numbers)]

    async def turns(self, seconds: float) -> int:
        """Every turn that falls due in this time; how many there were."""
        end, n = self.stores.now + seconds, 0
        while self.stores.now <= end:
            await self.republish.step()
            n += 1
            self.stores.now = max(self.stores.next_run_at, self.stores.now + 0.001)
        return n

    @property
    def listed(self) -> list[int]:
        return [TaskId(decode(entry) or task_id(0)).int for entry in self.stores.lists.get(LIST, [])]

    @property
    def pushed(self) -> set[int]:
        return {found.int for found in self.stores.pushed}
