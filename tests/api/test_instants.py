"""Times are RFC 3339, whatever their year and offset."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.api.schemas.instants import EARLIEST, LATEST, parse


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-22T00:00:00Z", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026-11-22t00:00:00z", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026-11-22 02:30:00.5+02:30", datetime(2026, 11, 22, 0, 0, 0, 500_000, UTC)),
        ("2026-11-22T00:00:00.123456789-00:00", datetime(2026, 11, 22, 0, 0, 0, 123_456, UTC)),
        ("0001-01-01T00:00:00+14:00", EARLIEST),
        ("0001-01-01T00:00:00Z", EARLIEST),
        ("9999-12-31T23:59:59-23:59", LATEST),
    ],
)
def test_every_time_of_rfc_3339_is_read(text: str, instant: datetime) -> None:
    assert parse(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-11-22",
        "2026-11-22T00:00:00",
        "2026-11-22T00:00Z",
        "2026-11-22T00:00:00+0100",
        "2026-11-22T00:00:00+01",
        "2026-11-22T24:00:00Z",
        "2026-11-22T00:60:00Z",
        "2026-11-22T00:00:60Z",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "-2026-01-01T00:00:00Z",
        "2026-W47-7T00:00:00Z",
        "20261122T000000Z",
        "2026-11-22T00:00:00+24:00",
        "2026-11-22T00:00:00Z\n",
        "٢٠٢٦-11-22T00:00:00Z",
        "1700000000",
    ],
)
def test_nothing_else_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse(text)


@given(st.text(max_size=40))
def test_any_other_text_is_refused_in_our_words(text: str) -> None:
    try:
        instant = parse(text)
    except ValueError as refused:
        message = str(refused)
    else:
        message = "" if instant.tzinfo is UTC else "no offset"
    assert message in {
        "",
        "there is no such time",
        "it must be a time with its offset as RFC 3339 writes it, such as 2030-01-31T09:30:00Z",
    }
