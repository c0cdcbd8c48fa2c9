from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest

from sluice.consumer.intake.capacity import Capacity
from sluice.consumer.intake.prefetch import Prefetch
from sluice.core.outcome import Reason
from sluice.core.task import Claim, ConsumerId
from tests.unit.support import claim, now, settled, virtual

ME, FORMER = ConsumerId(UUID(int=1)), ConsumerId(UUID(int=2))


class Scene:
    """Claims before their slots. It is itself the work: what it starts stays until `vacate`."""

    def __init__(self, capacity: int = 2) -> None:
        self.capacity = Capacity(capacity)
        self.started: list[tuple[ConsumerId, list[int]]] = []
        self.returned: list[tuple[Reason, list[int]]] = []
        self.refuses = False
        self.reasons: dict[ConsumerId, Reason] = {}
        self.prefetch = Prefetch(capacity=self.capacity, work=self, clock=now)

    def why_not(self, consumer: ConsumerId) -> Reason | None:
        return self.reasons.get(consumer)

    def start(self, claims: Sequence[Claim], consumer: ConsumerId) -> None:
        self.capacity.occupy(len(claims))
        self.started.append((consumer, numbers(claims)))
        for _ in claims if self.refuses else ():
            self.capacity.vacate()

    def give_back(self, claims: Sequence[Claim], why: Reason) -> None:
        self.returned.append((why, numbers(claims)))

    def claimed(self, *ids: int, consumer: ConsumerId = ME) -> None:
        self.capacity.take(len(ids))
        self.prefetch.put([claim(number) for number in ids], consumer)


def numbers(claims: Sequence[Claim]) -> list[int]:
    return [claim.id.int for claim in claims]


@pytest.mark.parametrize(
    ("capacity", "most", "at_once"),
    [
        (1, 1, (1, 1)),
        (99, 99, (99, 99)),
        (100, 100, (50, 100)),
        (101, 99, (51, 101)),
        (150, 50, (75, 150)),
        (151, 49, (76, 76)),
        (200, 0, (100, 100)),
        (1000, 0, (500, 500)),
    ],
)
def test_quick_handlers_have_as_many_claims_prefetched_as_there_are_slots_up_to_two_hundred_in_all(
    capacity: int, most: int, at_once: tuple[int, int]
) -> None:
    s = Scene(capacity)
    assert (s.prefetch.room, s.prefetch.at_once) == (capacity, at_once[0]), (
        "nothing has shown that they are quick"
    )

    s.capacity.took(0.001)
    assert (s.prefetch.room, s.prefetch.at_once) == (capacity + most, at_once[1])
    s.capacity.take(capacity + most)
    assert s.prefetch.room == 0

    s.capacity.overestimated()
    assert (s.prefetch.room, s.prefetch.at_once) == (-most, at_once[0])


@virtual
async def test_what_finds_vacant_slots_starts_at_once() -> None:
    s = Scene()
    s.claimed(1, 2)
    assert s.started == [(ME, [1, 2])]
    assert s.prefetch.keys() == set()


@virtual
async def test_what_does_not_waits_in_its_order_and_starts_with_all_that_one_turn_vacates() -> None:
    s = Scene()
    s.claimed(1)
    s.claimed(2, 3)
    s.claimed(4)
    assert s.started == [(ME, [1]), (ME, [2])]
    assert s.prefetch.keys() == {claim(3).key, claim(4).key}

    s.capacity.vacate()
    s.capacity.vacate()
    await settled()
    assert s.started[2:] == [(ME, [3, 4])]
    assert s.prefetch.keys() == set()


@virtual
async def test_each_starts_under_the_id_that_claimed_it() -> None:
    s = Scene()
    s.claimed(1, 2)
    s.claimed(3, consumer=FORMER)
    s.claimed(4)
    s.capacity.vacate()
    s.capacity.vacate()
    await settled()
    assert s.started[1:] == [(FORMER, [3]), (ME, [4])]


@virtual
async def test_work_that_refuses_all_of_it_leaves_nothing_waiting() -> None:
    s = Scene()
    s.claimed(1, 2)
    s.claimed(3, 4, 5, 6)
    s.refuses = True
    s.capacity.vacate()
    await settled()
    assert s.started[1:] == [(ME, [3]), (ME, [4]), (ME, [5]), (ME, [6])]
    assert (s.capacity.busy, s.capacity.free) == (1, 1)


@virtual
async def test_what_has_waited_for_a_second_goes_back_and_handlers_have_to_show_again_that_they_are_quick() -> (
    None
):
    s = Scene()
    s.capacity.took(0.001)
    s.claimed(1, 2)
    s.claimed(3)
    await asyncio.sleep(0.5)
    s.claimed(4)
    await asyncio.sleep(0.49)
    assert s.returned == []

    await asyncio.sleep(0.02)
    assert s.returned == [(Reason.PREFETCHED, [3, 4])]
    assert (s.capacity.free, s.capacity.busy) == (0, 2)
    assert not s.capacity.fast


@virtual
async def test_who_came_later_has_a_second_of_his_own() -> None:
    s = Scene(1)
    s.claimed(1)
    s.claimed(2)
    await asyncio.sleep(0.9)
    s.claimed(3)
    s.capacity.vacate()
    await asyncio.sleep(0.9)
    assert (s.started[1:], s.returned) == ([(ME, [2])], [])
    await asyncio.sleep(0.2)
    assert s.returned == [(Reason.PREFETCHED, [3])]


@virtual
async def test_in_a_drain_all_that_waits_goes_back_at_once() -> None:
    s = Scene()
    s.claimed(1, 2)
    s.claimed(3, 4)
    s.prefetch.give_back(Reason.DRAINING)
    assert s.returned == [(Reason.DRAINING, [3, 4])]
    assert (s.prefetch.keys(), s.capacity.free) == (set(), 0)

    s.prefetch.give_back(Reason.DRAINING)
    await asyncio.sleep(2)
    assert len(s.returned) == 1


@virtual
async def test_what_comes_when_nothing_may_start_any_more_does_not_wait() -> None:
    s = Scene()
    s.claimed(1, 2)
    s.reasons[ME] = Reason.DRAINING
    s.claimed(3, 4)
    assert s.returned == [(Reason.DRAINING, [3, 4])]
    assert (s.prefetch.keys(), s.capacity.free) == (set(), 0)


@virtual
async def test_what_may_not_start_any_more_goes_back_before_it_would_be_its_turn() -> None:
    s = Scene()
    s.claimed(1, 2)
    s.claimed(3, consumer=FORMER)
    s.claimed(4)
    s.prefetch.refuse()
    assert s.returned == []

    s.reasons[FORMER] = Reason.LEASE
    s.prefetch.refuse()
    assert s.returned == [(Reason.LEASE, [3])]
    assert s.prefetch.keys() == {claim(4).key}
    assert s.capacity.free == -1


@virtual
async def test_a_suspect_goes_first() -> None:
    """Before what came with it, and before what has waited for longer."""
    s = Scene(1)
    s.claimed(1)
    s.claimed(2, 3)
    s.capacity.take(2)
    held = [s.prefetch.holds_suspect]
    s.prefetch.put([claim(4), claim(5, crashes=2)], ME)
    assert [*held, s.prefetch.holds_suspect] == [False, True], "no claim is to bring another"
    for _ in range(4):
        s.capacity.vacate()
        await settled()
    assert s.started == [(ME, [1]), (ME, [5]), (ME, [2]), (ME, [3]), (ME, [4])]


@virtual
async def test_the_oldest_goes_back_in_time_though_a_suspect_stands_before_it() -> None:
    s = Scene(1)
    s.claimed(1)
    s.claimed(2)
    await asyncio.sleep(0.5)
    s.capacity.take(1)
    s.prefetch.put([claim(3, crashes=2)], ME)
    await asyncio.sleep(0.52)
    assert s.returned == [(Reason.PREFETCHED, [3, 2])]
