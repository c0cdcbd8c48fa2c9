"""Lists of names, as the environment and the command line have them. Reads neither; imports nothing heavy."""

from __future__ import annotations

import re

from sluice.core.task import QUEUE_PATTERN


def split(text: str) -> tuple[str, ...]:
    """The names between the commas, each once."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def queues(names: tuple[str, ...]) -> tuple[str, ...]:
    """The same names, as each may be a queue's and there is one. Raises ValueError, which says what is allowed."""
    if not names or not all(re.fullmatch(QUEUE_PATTERN, name) for name in names):
        raise ValueError(f"it must be comma-separated names, each matching {QUEUE_PATTERN}")
    return names
