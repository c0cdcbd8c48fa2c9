from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from typer import BadParameter

from sluice.cli.times import Since, seconds, time_limit

NOW = datetime(2030, 1, 31, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("90", 90),
        ("0", 0),
        ("1.5", 1.5),
        ("30s", 30),
        ("5m", 300),
        ("1.5h", 5400),
        ("2d", 172_800),
        ("-1", -1),
    ],
)
def test_a_duration_is_seconds_unless_it_names_a_unit(text: str, found: float) -> None:
    assert seconds(text) == found


@pytest.mark.parametrize(
    "text", ["", "m", "5 minutes", "5M", "1h30m", "nan", "inf", "-infs", "1e308d", "0x10"]
)
def test_what_is_no_duration_is_wrong_usage_that_names_the_units(text: str) -> None:
    with pytest.raises(BadParameter, match="30s, 5m, 2h, 1d"):
        seconds(text)


def test_nobody_waits_for_less_than_no_time() -> None:
    with pytest.raises(BadParameter):
        time_limit("-1s")


@pytest.mark.parametrize(
    ("text", "ago"), [("90", 90), ("30m", 1800), ("2d", 172_800), ("0", 0), ("99999999999d", 1e9)]
)
def test_since_a_time_ago_moves_with_the_clock(text: str, ago: float) -> None:
    since = Since.parse(text)
    for now in (NOW, NOW + timedelta(hours=1)):
        assert datetime.fromisoformat(since.at(now)) == now - timedelta(seconds=ago)


def test_since_an_instant_is_sent_as_it_stands() -> None:
    assert Since.parse("2030-01-31T09:30:00+02:00").at(NOW) == "2030-01-31T09:30:00+02:00"


@pytest.mark.parametrize("text", ["", "yesterday", "-5m", "09:30", "2030-01-31"])
def test_what_is_no_since_is_wrong_usage_with_examples(text: str) -> None:
    with pytest.raises(BadParameter, match="30m, 2h or 1d"):
        Since.parse(text)
