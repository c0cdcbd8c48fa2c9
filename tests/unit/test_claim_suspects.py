"""What one more crash would poison is claimed one at a time, and holds up nobody (U2 reap)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from sluice.core.errors import RowRefused
from sluice.core.events import StepFailed
from sluice.core.task import Claim, TaskId
from sluice.db.claims import NO_HINTS, Batch, Lane
from sluice.db.rows import Place
from tests.unit.claiming import LANES, Scene
from tests.unit.support import claim, settled, task_id, virtual


class Rows:
    """Innocent tasks and suspects, by number; some are refused. It is itself the store."""

    def __init__(self, innocent: Sequence[int], suspects: Sequence[int], refused: set[int]) -> None:
        self.innocent, self.suspects, self.refused = list(innocent), list(suspects), refused
        self.asked: list[object] = []

    async def claim(self, ids: Sequence[TaskId], *, suspects: bool, **_: object) -> list[Claim]:
        self.asked.append(suspects)
        one = [number for number in self.suspects if task_id(number) in ids][:suspects]
        return self._take([*one, *(number for number in self.innocent if task_id(number) in ids)])

    async def claim_ready(
        self, lanes: Mapping[Lane, Place], n: int, *, skip: int, suspect: int, **_: object
    ) -> Batch:
        self.asked.append((n, skip, suspect))
        [begin] = lanes.values()
        behind = [] if begin > LANES[next(iter(LANES))] else self.innocent
        one = self.suspects[suspect - 1 : suspect] if suspect else []
        return Batch(self._take([*one, *behind][skip : skip + n]), {})

    def _take(self, found: list[int]) -> list[Claim]:
        if self.refused & set(found):
            raise RowRefused("P0001", "not this one")
        claims = [claim(number, crashes=2 if number in self.suspects else 0) for number in found]
        self.innocent = [number for number in self.innocent if number not in found]
        self.suspects = [number for number in self.suspects if number not in found]
        return claims


def scene(innocent: Sequence[int], suspects: Sequence[int], refused: set[int] | None = None) -> Scene:
    s = Scene()
    s.may_begin = True
    s.store = Rows(innocent, suspects, refused or set())  # type: ignore[assignment]
    s.claimer._store = s.store
    return s


async def claimed(s: Scene, n: int) -> list[int]:
    """The numbers of what a claim by the rows brings."""
    s.started.clear()
    await s.claimer.claim_ready(LANES, n, NO_HINTS)
    await settled()
    return sorted(found.id.int for claims, _ in s.started for found in claims)


@pytest.mark.parametrize("suspects", [True, False])
def test_a_claim_says_whether_a_suspect_may_begin(suspects: bool) -> None:
    @virtual
    async def run() -> None:
        s = scene([], [])
        s.may_begin = suspects
        await s.claimer.claim([task_id(1)])
        await s.claimer.claim_ready(LANES, 3, NO_HINTS)
        assert s.store.asked == [suspects, (3, 0, int(suspects))]

    run()


@virtual
async def test_halves_of_a_claim_bring_one_suspect_together() -> None:
    s = scene([1, 2, 3], [4, 5, 6], refused={3})
    ids = [task_id(number) for number in (1, 4, 3, 5, 2, 6)]
    assert await s.claimer.claim(ids) == 3
    await settled()
    [(claims, _)] = s.started
    assert {found.id for found in claims} == {task_id(number) for number in (1, 2, 4)}


@pytest.mark.parametrize("refused", [{4}, {4, 5}, {1, 4}], ids=str)
def test_a_suspect_that_is_refused_keeps_neither_innocent_tasks_nor_the_next_suspect_waiting(
    refused: set[int],
) -> None:
    @virtual
    async def run() -> None:
        s = scene([1, 2, 3], [4, 5, 6], refused=refused)
        assert await claimed(s, 10) == sorted({1, 2, 3, *([6] if 5 in refused else [5])} - refused)
        assert len(s.events.of(StepFailed)) == len(refused)

    run()


@virtual
async def test_an_innocent_task_that_is_refused_keeps_no_suspect_waiting() -> None:
    s = scene([1, 2], [4, 5], refused={1})
    assert await claimed(s, 2) == [2, 4]
    assert len(s.events.of(StepFailed)) == 1


@virtual
async def test_of_suspects_that_are_all_refused_a_few_are_asked() -> None:
    s = scene([1], range(10, 50), refused=set(range(10, 50)))
    assert await claimed(s, 5) == [1]
    assert len(s.store.asked) < 20


@virtual
async def test_with_one_slot_suspects_and_innocent_tasks_take_turns() -> None:
    s = scene([1, 2], [4, 5, 6])
    found = [await claimed(s, 1) for _ in range(6)]
    assert found == [[4], [1], [5], [2], [6], []]
