from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest

from sluice.consumer.intake.prefetch import Ahead
from sluice.consumer.intake.pace import Pace
from sluice.consumer.intake.slots import Slots
from sluice.core.task import Claim, ConsumerId
from tests.unit.support import claim, now, settled, virtual

ME, FORMER = ConsumerId(UUID(int=1)), ConsumerId(UUID(int=2))


class Scene:
    """Claims ahead of slots. It is itself the work: what it starts stays until `vacate`."""

    def __init__(self, capacity: int = 2) -> None:
        self.slots = Slots(capacity, self._vacated)
        self.pace = Pace()
        self.started: list[tuple[ConsumerId, list[int]]] = []
        self.returned: list[tuple[str, list[int]]] = []
        self.refuses = False
        self.reasons: dict[ConsumerId, str] = {}
        self.ahead = Ahead(slots=self.slots, pace=self.pace, work=self, clock=now, overdue=self.pace.forget)

    def _vacated(self) -> None:
        self.ahead.vacated()

    def why_not(self, consumer: ConsumerId) -> str | None:
        return self.reasons.get(consumer)

    def start(self, claims: Sequence[Claim], consumer: ConsumerId) -> None:
        self.slots.occupy(len(claims))
        self.started.append((consumer, numbers(claims)))
        for _ in claims if self.refuses else ():
            self.slots.vacate()

    def give_back(self, claims: Sequence[Claim], why: str) -> None:
        self.returned.append((why, numbers(claims)))

    def claimed(self, *ids: int, consumer: ConsumerId = ME) -> None:
        self.slots.take(len(ids))
        self.ahead.put([claim(number) for number in ids], consumer)


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
def test_quick_handlers_let_claims_run_ahead_by_as_many_as_there_are_slots_up_to_two_hundred_in_all(
    capacity: int, most: int, at_once: tuple[int, int]
) -> None:
    s = Scene(capacity)
    assert (s.ahead.room, s.ahead.at_once) == (capacity, at_once[0]), "nothing has shown that they are quick"

    s.pace(0.001)
    assert (s.ahead.room, s.ahead.at_once) == (capacity + most, at_once[1])
    s.slots.take(capacity + most)
    assert s.ahead.room == 0

    s.pace.forget()
    assert (s.ahead.room, s.ahead.at_once) == (-most, at_once[0])


@virtual
async def test_what_finds_vacant_slots_starts_at_once() -> None:
    s = Scene()
    s.claimed(1, 2)
    assert s.started == [(ME, [1, 2])]
    assert s.ahead.keys() == set()


@virtual
async def test_what_does_not_waits_in_its_order_and_starts_with_all_that_one_turn_vacates() -> None:
    s = Scene()
    s.claimed(1)
    s.claimed(2, 3)
    s.claimed(4)
    assert s.started == [(ME, [1]), (ME, [2])]
    assert s.ahead.keys() == {claim(3).key, claim(4).key}

    s.slots.vacate()
    s.slots.vacate()
    await settled()
    assert s.started[2:] == [(ME, [3, 4])]
    assert s.ahead.keys() == set()


@virtual
async def test_each_starts_under_the_id_that_claimed_it() -> None:
    s = Scene()
    s.claimed(1, 2)
    s.claimed(3, consumer=FORMER)
    s.claimed(4)
    s.slots.vacate()
    s.slots.vacate()
    await settled()
    assert s.started[1:] == [(FORMER, [3]), (ME, [4])]


@virtual
async def test_work_that_refuses_all_of_it_leaves_nothing_waiting() -> None:
    s = Scene()
    s.claimed(1, 2)
    s.claimed(3, 4, 5, 6)
    s.refuses = True
    s.slots.vacate()
    await settled()
    assert s.started[1:] == [(ME, [3]), (ME, [4]), (ME, [5]), (ME, [6])]
    assert (s.slots.busy, s.slots.free) == (1, 1)


@virtual
async def test_what_has_waited_for_a_second_goes_back_and_handlers_have_to_show_again_that_they_are_quick() -> (
    None
):
    s = Scene()
    s.pace(0.001)
    s.claimed(1, 2)
    s.claimed(3)
    await asyncio.sleep(0.5)
    s.claimed(4)
    await asyncio.sleep(0.49)
    assert s.returned == []

    await asyncio.sleep(0.02)
    assert s.returned == [("full, claimed ahead", [3, 4])]
    assert (s.slots.free, s.slots.busy) == (0, 2)
    assert not s.pace.fast


@virtual
async def test_who_came_later_has_a_second_of_his_own() -> None:
    s = Scene(1)
    s.claimed(1)
    s.claimed(2)
    await asyncio.sleep(0.9)
    s.claimed(3)
    s.slots.vacate()
    await asyncio.sleep(0.9)
    assert (s.started[1:], s.returned) == ([(ME, [2])], [])
    await asyncio.sleep(0.2)
    assert s.returned == [("full, claimed ahead", [3])]


@virtual
async def test_in_a_drain_all_that_waits_goes_back_at_once() -> None:
    s = Scene()
    s.claimed(1, 2)
    s.claimed(3, 4)
    s.ahead.give_back("draining")
    assert s.returned == [("draining", [3, 4])]
    assert (s.ahead.keys(), s.slots.free) == (set(), 0)

    s.ahead.give_back("draining")
    await asyncio.sleep(2)
    assert len(s.returned) == 1


@virtual
async def test_what_comes_when_nothing_may_start_any_more_does_not_wait() -> None:
    s = Scene()
    s.claimed(1, 2)
    s.reasons[ME] = "draining"
    s.claimed(3, 4)
    assert s.returned == [("draining", [3, 4])]
    assert (s.ahead.keys(), s.slots.free) == (set(), 0)


@virtual
async def test_what_may_not_start_any_more_goes_back_before_it_would_be_its_turn() -> None:
    s = Scene()
    s.claimed(1, 2)
    s.claimed(3, consumer=FORMER)
    s.claimed(4)
    s.ahead.refuse()
    assert s.returned == []

    s.reasons[FORMER] = "lease not trusted"
    s.ahead.refuse()
    assert s.returned == [("lease not trusted", [3])]
    assert s.ahead.keys() == {claim(4).key}
    assert s.slots.free == -1


@virtual
async def test_a_suspect_goes_first() -> None:
    """Before what came with it, and before what has waited for longer."""
    s = Scene(1)
    s.claimed(1)
    s.claimed(2, 3)
    s.slots.take(2)
    held = [s.ahead.holds_suspect]
    s.ahead.put([claim(4), claim(5, crashes=2)], ME)
    assert [*held, s.ahead.holds_suspect] == [False, True], "no claim is to bring another"
    for _ in range(4):
        s.slots.vacate()
        await settled()
    assert s.started == [(ME, [1]), (ME, [5]), (ME, [2]), (ME, [3]), (ME, [4])]


@virtual
async def test_the_oldest_goes_back_in_time_though_a_suspect_stands_before_it() -> None:
    s = Scene(1)
    s.claimed(1)
    s.claimed(2)
    await asyncio.sleep(0.5)
    s.slots.take(1)
    s.ahead.put([claim(3, crashes=2)], ME)
    await asyncio.sleep(0.52)
    assert s.returned == [("full, claimed ahead", [3, 2])]
