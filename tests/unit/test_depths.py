"""Queues are counted in turn within a budget, and of any number of names a bounded one is kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from sluice.api.depths import BUDGET, MOST_NAMED, Depths
from sluice.core.task import QueueName
from sluice.db.browse import Depth
from tests.support.slowness import slowness
from tests.unit.support import now, virtual

AT = datetime(2026, 11, 30, tzinfo=UTC)
PAGE = 2000
"""Names that one look reads."""


def queue(number: int) -> QueueName:
    """Their order is that of their numbers."""
    return QueueName(f"q{number:07}")


def queues(numbers: Iterable[int]) -> list[QueueName]:
    return [queue(number) for number in numbers]


class Rows:
    """Queues by number that hold a task each. Counting one takes `seconds`."""

    def __init__(self, numbers: range, seconds: float = 0.0) -> None:
        self.numbers = numbers
        self.seconds = seconds
        self.asked: list[list[QueueName]] = []

    async def queues(self, after: str, n: int) -> list[QueueName]:
        begin = max(int(after[1:]) + 1 if after else 0, self.numbers.start)
        return queues(range(begin, min(begin + n, self.numbers.stop)))

    async def depths(self, names: Sequence[QueueName]) -> dict[QueueName, Depth]:
        self.asked.append(list(names))
        await asyncio.sleep(self.seconds * len(names))
        return {name: Depth(1, AT + timedelta(seconds=now())) for name in names}

    @property
    def counted(self) -> list[QueueName]:
        """Since the last time that this was read."""
        asked, self.asked = self.asked, []
        return [name for names in asked for name in names]


@virtual
async def test_the_served_queues_are_named_first_and_others_in_their_order() -> None:
    depths = Depths(Rows(range(3 * MOST_NAMED)))
    served = [QueueName("zz-idle"), queue(2_999), queue(1_500)]

    for _ in range(2):
        await depths.look(served)

        named = list(depths.shown())
        assert named == sorted(named)
        assert set(named) == {*served, *queues(range(MOST_NAMED - 3))}


@virtual
async def test_more_served_queues_than_are_named_leave_no_room_for_others() -> None:
    depths = Depths(Rows(range(10)))
    served = [QueueName(f"served-{number:04}") for number in range(MOST_NAMED + 5)]

    await depths.look(served)

    assert list(depths.shown()) == served[:MOST_NAMED]
    assert depths.unnamed == 5 + 10


@pytest.mark.parametrize("there", [0, 10, MOST_NAMED, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE, 12_345])
def test_unnamed_is_how_many_more_there_are_and_a_served_one_counts_once(there: int) -> None:
    @virtual
    async def scene() -> None:
        depths = Depths(Rows(range(there)))
        served = [queue(0), queue(there // 2), queue(max(0, there - 1)), QueueName("zz-idle")]

        for _ in range(there // PAGE + 1):
            await depths.look(served)

        queues_there = len({*queues(range(there)), *served})
        assert len(depths.shown()) == min(MOST_NAMED, queues_there)
        assert depths.unnamed == max(0, queues_there - MOST_NAMED)

    scene()


@virtual
async def test_queues_whose_consumers_come_and_go_stay_named_in_the_middle_of_a_lap() -> None:
    depths = Depths(Rows(range(2 * PAGE)))
    for _ in range(3):
        await depths.look([queue(3_000)])

    await depths.look([queue(0), queue(1)])
    assert list(depths.shown()) == queues(range(MOST_NAMED))
    assert depths.unnamed == 2 * PAGE - MOST_NAMED
    await depths.look([queue(2_000)])
    assert list(depths.shown()) == queues([*range(MOST_NAMED - 1), 2_000])


@virtual
async def test_until_a_lap_is_over_what_the_last_one_found_stays_named() -> None:
    rows = Rows(range(100))
    depths = Depths(rows)
    await depths.look([])
    assert (list(depths.shown()), depths.unnamed) == (queues(range(100)), 0)

    rows.numbers = range(50, 2 * PAGE + 100)
    for page in (1, 2):
        await depths.look([])
        assert list(depths.shown()) == queues(range(MOST_NAMED))
        assert depths.unnamed == page * PAGE - MOST_NAMED, "more than the last whole lap had found"
    await depths.look([])
    assert list(depths.shown()) == queues(range(50, MOST_NAMED + 50))
    assert depths.unnamed == 2 * PAGE + 50 - MOST_NAMED


@virtual
async def test_the_budget_ends_a_look_in_its_middle_and_the_next_goes_on_from_there() -> None:
    rows = Rows(range(40), seconds=0.0015)
    depths = Depths(rows)
    counted: list[QueueName] = []

    for _ in range(2):
        began = now()
        await depths.look([])
        assert 0.9 * BUDGET.total_seconds() < now() - began < 1.1 * BUDGET.total_seconds()
        some = rows.counted
        assert 10 < len(some) < 20
        counted += some

    assert counted == queues(range(len(counted)))
    assert [each.counted_at is None for each in depths.shown().values()] == [
        number >= len(counted) for number in range(40)
    ]


@virtual
async def test_statements_grow_while_queues_are_quick_and_shrink_when_they_are_not() -> None:
    rows = Rows(range(500), seconds=0.0001)
    depths = Depths(rows)
    await depths.look([])
    sizes = [len(names) for names in rows.asked]
    assert (sizes[0], max(sizes), sizes[-1]) == (1, 8, 1)
    assert rows.counted

    rows.seconds = 0.010
    await depths.look([])
    assert len(rows.counted) == 8, "the first statement is past the budget"
    began = now()
    await depths.look([])
    assert [len(names) for names in rows.asked] == [2, 1]
    assert now() - began < 1.3 * BUDGET.total_seconds()


@virtual
async def test_after_a_statement_that_took_too_long_one_queue_is_counted_alone_and_another() -> None:
    rows = Rows(range(100), seconds=0.0001)
    depths = Depths(rows)
    await depths.look([])
    rows.asked.clear()

    rows.seconds = 1.0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await depths.look([])
    rows.seconds = 0.020
    await depths.look([])

    assert [len(names) for names in rows.asked] == [8, 1, 1]
    assert len(set(rows.counted)) == 10


@virtual
async def test_those_never_counted_come_first_and_then_the_oldest_counts() -> None:
    rows = Rows(range(30), seconds=0.002)
    depths = Depths(rows)
    ages: dict[QueueName, int] = {}
    for look in range(1, 12):
        if look == 8:
            rows.numbers = range(33)
        await depths.look([])
        counted = rows.counted
        if look == 8:
            assert counted[:3] == queues([30, 31, 32])
        before = [ages.get(name, 0) for name in counted]
        assert before == sorted(before)
        assert all(
            ages.get(QueueName(name), 0) >= before[-1] for name in depths.shown() if name not in counted
        )
        ages.update(dict.fromkeys(counted, look))


@virtual
async def test_a_slow_store_still_has_every_named_queue_counted_after_some_looks() -> None:
    depths = Depths(Rows(range(MOST_NAMED + 500), seconds=0.0015))
    looks = 0
    while any(each.counted_at is None for each in depths.shown().values()) or not looks:
        await depths.look([queue(1_400)])
        looks += 1
        assert looks <= 100

    assert len(depths.shown()) == MOST_NAMED
    assert {each.depth for each in depths.shown().values()} == {1}


@virtual
async def test_one_queue_at_least_is_counted_however_slow_the_store_is() -> None:
    rows = Rows(range(3), seconds=10)
    depths = Depths(rows)
    await depths.look([])
    assert rows.counted


@virtual
async def test_of_a_million_names_few_are_kept_and_a_look_takes_little_cpu() -> None:
    there = 1_000_000
    depths = Depths(Rows(range(there), seconds=0.001))
    served = [queue(999_999), QueueName("idle")]
    slowest = 0.0

    for _ in range(there // PAGE + 1):
        began = time.thread_time()
        await depths.look(served)
        assert len(depths.shown()) == MOST_NAMED
        _ = depths.unnamed
        slowest = max(slowest, time.thread_time() - began)

    kept = len(depths._counted) + len(depths._whole.names) + len(depths._lap.names)
    assert kept <= 3 * (MOST_NAMED + len(served))
    assert depths.unnamed == there + 1 - MOST_NAMED
    assert slowest < 0.1 * slowness()
