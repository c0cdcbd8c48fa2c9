"""A scan whose rows are numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sluice.consumer.intake.claim import Found
from sluice.consumer.intake.redis_health import RedisHealth
from sluice.consumer.intake.scan import Scan
from sluice.core.audience import Audiences, Signature
from sluice.core.errors import StoreUnavailable
from sluice.core.task import Kind, QueueName, ReadyList
from sluice.core.waiting import Bell
from sluice.db.claims import Hints, Lane
from sluice.db.rows import Place
from tests.unit.support import Events, now, task_id

START = datetime(2026, 1, 1, tzinfo=UTC)
A, B = Kind("a"), Kind("b")


def lane(kind: Kind = A, priority: int = 5, queue: str = "default") -> Lane:
    return Lane(QueueName(queue), kind, priority)


def place(second: int) -> Place:
    return Place(START + timedelta(seconds=second), task_id(second))


class Scene:
    """Rows as numbers, each due at its second, lane by lane. It is itself the store, the claimer and the roster."""

    def __init__(self, rows: dict[Lane, list[int]]) -> None:
        self.rows = rows
        self.took, self.suspects = 0.0, 0
        self.asked: list[tuple[list[Lane], Hints]] = []
        self.bell = Bell()
        self.consumers = 1
        self.me = Signature.of([QueueName("default"), QueueName("other")], [A, B])
        self.audiences = Audiences([self.me])
        self.error: StoreUnavailable | None = None
        self.scan = Scan(
            store=self,
            claimer=self,  # type: ignore[arg-type] # the one member that it uses
            redis_health=RedisHealth(None, Events()),
            queues=sorted({each.queue for each in rows} or {QueueName("default")}),
            kinds=[A, B],
            roster=self,
            scan_bell=self.bell,
            clock=now,
        )

    async def lanes(
        self, queues: Sequence[QueueName], kinds: Sequence[Kind], n: int, *, since: str
    ) -> list[tuple[Lane, datetime]]:
        await asyncio.sleep(self.took)
        if self.error is not None:
            raise self.error
        assert set(kinds) == {A, B}
        due = sorted(
            (each for each in self.rows if self.rows[each]), key=lambda one: (one.kind, -one.priority)
        )
        ours = [each for queue in queues for each in due if each.queue == queue]
        first = [each for each in ours if each.queue == queues[0] and each.kind < since]
        ours = [*(each for each in ours if each not in first), *first]
        return [(each, place(self.rows[each][0]).run_at) for each in ours][:n]

    async def claim_ready(self, lanes: Mapping[Lane, Place], n: int, listed: Hints) -> Found:
        self.asked.append((list(lanes), listed))
        claimed, ends = min(self.suspects, n), dict[Lane, Place]()
        self.suspects -= claimed
        for each, begin in lanes.items():
            taken = [row for row in self.rows[each] if place(row) > begin][: n - claimed]
            self.rows[each] = [row for row in self.rows[each] if row not in taken]
            claimed += len(taken)
            if taken:
                ends[each] = place(taken[-1])
        return Found(claimed, ends)

    def list_of(self, each: Lane) -> ReadyList:
        found = self.audiences.list_of(*each)
        assert found is not None
        return found
