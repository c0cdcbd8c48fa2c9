"""The traceback of what a handler raised, as a log shows it: it begins in the handler. Raises nothing."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

_CALLERS = ("sluice.consumer.runs.", "concurrent.futures.")
_FRAMES = 20
_CHARACTERS = 8000


def of_handler(error: BaseException) -> str:
    """Return the last frames of it, without those that only called the handler; whatever its own methods do."""
    try:
        lines = traceback.format_exception(type(error), error, _called(error.__traceback__), limit=-_FRAMES)
        return "".join(lines)[-_CHARACTERS:]
    except BaseException as unprintable:  # noqa: BLE001 - an exception's class is not ours to trust
        return f"(it could not be read: {type(unprintable).__name__})"


def _called(first: TracebackType | None) -> TracebackType | None:
    """Return the first frame that is none of the callers'; with none but theirs, all of them."""
    at = first
    while at is not None and str(at.tb_frame.f_globals.get("__name__", "")).startswith(_CALLERS):
        at = at.tb_next
    return at or first
