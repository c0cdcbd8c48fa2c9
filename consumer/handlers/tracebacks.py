"""The traceback of what a handler raised, as a log shows it: it begins in the handler. Raises nothing."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

IN_CHILD = "in the child process:\n"
"""How the note begins that carries the traceback of a child process: frames cannot travel."""

_CALLERS = ("sluice.consumer.runs.", "concurrent.futures.", "asyncio.")
_FRAMES = 20
_CHARACTERS = 8000


def of_handler(error: BaseException) -> str:
    """Return the last frames of it, without those that only called the handler; whatever its own methods do.

    Of an error that came from a child process it is what the child wrote down.
    """
    try:
        first = _called(error.__traceback__)
        if first is None and (told := _of_child(error)):
            return told[-_CHARACTERS:]
        lines = traceback.format_exception(type(error), error, first or error.__traceback__, limit=-_FRAMES)
        return "".join(lines)[-_CHARACTERS:]
    except BaseException as unprintable:  # noqa: BLE001 - an exception's class is not ours to trust
        return f"(it could not be read: {type(unprintable).__name__})"


def _called(first: TracebackType | None) -> TracebackType | None:
    """Return the first frame that is none of the callers'; None with none but theirs."""
    at = first
    while at is not None and str(at.tb_frame.f_globals.get("__name__", "")).startswith(_CALLERS):
        at = at.tb_next
    return at


def _of_child(error: BaseException) -> str:
    """The traceback that the error brought along from a child process, if it did."""
    notes = [note for note in getattr(error, "__notes__", ()) if note.startswith(IN_CHILD)]
    return notes[-1].removeprefix(IN_CHILD) if notes else ""
