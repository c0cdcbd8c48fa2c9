from __future__ import annotations

from datetime import UTC, timedelta

import hypothesis.strategies as st
import orjson
from hypothesis import given

from consumer.upkeep.promote import from_place, to_place
from consumer.upkeep.republish import PERIOD, Lap
from core.task import TaskId
from db.upkeep import BEGINNING, Place

instants = st.datetimes(min_value=BEGINNING.run_at.replace(tzinfo=None), timezones=st.just(UTC))
places = st.builds(Place, run_at=instants, id=st.uuids().map(TaskId))
laps = st.builds(
    Lap,
    place=places,
    began=instants,
    refilling=st.booleans(),
    length=st.integers(0, 10**9),
    again=st.timedeltas(timedelta(milliseconds=30), PERIOD),
)


@given(places)
def test_a_place_is_read_back_as_it_was_stored(place: Place) -> None:
    assert to_place(orjson.loads(orjson.dumps(from_place(place)))) == place


@given(laps)
def test_a_lap_is_read_back_as_it_was_stored(lap: Lap) -> None:
    assert Lap.load(orjson.loads(orjson.dumps(lap.dump()))) == lap


@given(laps, st.integers(500, 10**9))
def test_a_lap_never_waits_longer_than_a_period_nor_spins(lap: Lap, length: int) -> None:
    waiting = lap.wait(length)
    assert timedelta(milliseconds=30) <= waiting.again <= PERIOD
    assert (waiting.place, waiting.began) == (lap.place, lap.began)
