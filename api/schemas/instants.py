"""Times as RFC 3339 writes them. Refuses what only ISO 8601 knows, and reads no clock."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)
EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


def parse(text: str) -> datetime:
    """The instant, in UTC; one outside of the years 1 to 9999 there becomes EARLIEST or LATEST. Raises ValueError."""
    if _RFC_3339.fullmatch(text) is None:
        raise ValueError(
            "it must be a time with its offset as RFC 3339 writes it, such as 2030-01-31T09:30:00Z"
        )
    try:
        local = datetime.fromisoformat(text.upper())
    except ValueError:
        raise ValueError("there is no such time") from None
    try:
        return local.astimezone(UTC)
    except OverflowError:
        return EARLIEST if local.year == EARLIEST.year else LATEST
