from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos.faults import ACTS
from tests.chaos.plan import CLASSES, PROCESSES, Planned, Round, plan

SEEDS = (*range(40), 271102)  # with the last one the deck ends on two faults of the same server


def taken(fault: Planned) -> set[str]:
    """What a fault has to itself."""
    process, _, server = fault.target.partition("/")
    return {f"{each}/{server}" for each in PROCESSES} if process == "*" else {fault.target}


def faults(rounds: list[Round]) -> list[Planned]:
    return [fault for together in rounds for fault in together]


def test_every_class_has_its_act() -> None:
    assert {kind.name for kind in CLASSES} == ACTS.keys()


@pytest.mark.parametrize("seed", SEEDS)
def test_at_most_two_faults_overlap_and_never_on_the_same_thing(seed: int) -> None:
    for together in plan(seed, 600, quiet=18):
        assert 1 <= len(together) <= 2
        if len(together) == 2:
            first, second = together
            assert first.after == 0
            assert second.after <= max(first.seconds, 0.2)
            assert not taken(first) & taken(second)


@pytest.mark.parametrize("seed", SEEDS)
def test_ten_minutes_hold_every_class(seed: int) -> None:
    found = Counter(fault.name for fault in faults(plan(seed, 600, quiet=18)))
    assert found.keys() == {kind.name for kind in CLASSES}
    assert max(found.values()) - min(found.values()) <= 2


@pytest.mark.parametrize("seed", SEEDS)
def test_the_rounds_fit_the_time(seed: int) -> None:
    rounds = plan(seed, 600, quiet=18)
    lasts = sum(max(fault.after + fault.seconds for fault in together) + 18 for together in rounds)
    assert 560 < lasts <= 600


def test_a_seed_gives_the_same_plan_each_time_and_another_one_another() -> None:
    assert plan(7, 600, quiet=18) == plan(7, 600, quiet=18)
    assert plan(7, 600, quiet=18) != plan(8, 600, quiet=18)


def test_a_smaller_deck_is_dealt_alone() -> None:
    deck = CLASSES[2::3]
    found = {fault.name for fault in faults(plan(1, 60, quiet=1, deck=deck))}
    assert found == {kind.name for kind in deck}
