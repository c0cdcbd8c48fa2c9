from __future__ import annotations

import re
from dataclasses import FrozenInstanceError

import pytest

from sluice.core import attempts, events
from sluice.core.attempts import AttemptEnded, AttemptFailed
from sluice.core.events import Claimed, Event, GivenBack, Many, StoreBack
from sluice.core.outcome import Reason
from sluice.core.telemetry.log import LEVELS

CLASSES = [
    kind
    for kind in {**vars(events), **vars(attempts)}.values()
    if isinstance(kind, type)
    and issubclass(kind, Event)
    and kind not in {Event, Many, AttemptEnded, AttemptFailed}
]


def test_every_event_has_a_dotted_name_of_its_own_and_a_level() -> None:
    names = [kind.name for kind in CLASSES]

    assert len(set(names)) == len(names) > 10
    assert all(re.fullmatch(r"[a-z]+\.[a-z_]+", name) for name in names)
    assert {kind.level for kind in CLASSES} <= LEVELS.keys()


def test_an_event_counts_once_and_one_about_many_as_often_as_it_says() -> None:
    assert StoreBack("Redis", doing="pull").count == 1
    assert Claimed(7, asked=9).count == 7
    assert GivenBack(0, why=Reason.FULL).count == 0


def test_the_facts_of_an_event_are_its_fields() -> None:
    assert Claimed(7, asked=9).facts() == {"n": 7, "asked": 9}


def test_what_happened_cannot_be_changed_afterwards() -> None:
    with pytest.raises(FrozenInstanceError):
        Claimed(7, asked=9).n = 8  # type: ignore[misc] # what is tested
