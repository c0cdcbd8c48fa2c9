"""What a child process answers, as bytes: a result, or an exception that the consumer can raise."""

from __future__ import annotations

import pickle
from contextlib import suppress
from typing import TYPE_CHECKING

from sluice.consumer.handlers.exceptions import Discard, Retry, Snooze
from sluice.consumer.handlers.tracebacks import IN_CHILD, of_handler
from sluice.core.outcome import Failure
from sluice.core.task import MAX_RESULT_BYTES

if TYPE_CHECKING:
    from sluice.core.task import JsonText

_NOTE_CHARACTERS = 6000


def succeeded(result: JsonText | None) -> bytes:
    """The answer of a call that returned."""
    return pickle.dumps((True, result))


def read(answer: bytes) -> JsonText | None:
    """The result. Raises what the handler raised."""
    returned, value = pickle.loads(answer)  # noqa: S301 - from our own child, over our own socket
    if not returned:
        raise value
    result: JsonText | None = value
    return result


def failed(error: BaseException) -> bytes:
    """The answer of a call that raised, with an exception that the consumer can raise.

    It is the one that was raised when that survives pickling, else one that means the same. Its traceback stays behind,
    so it travels as a note.
    """
    note = IN_CHILD + of_handler(error)[-_NOTE_CHARACTERS:]
    with suppress(Exception):  # any class of the user's may refuse
        error.add_note(note)
        message = pickle.dumps((False, error))
        if len(message) <= MAX_RESULT_BYTES:
            pickle.loads(message)  # noqa: S301 - made two lines above
            return message
    other = _stand_in(error)
    other.add_note(note)
    return pickle.dumps((False, other))


def _stand_in(error: BaseException) -> Exception:
    """For an exception that cannot travel: one that says the same of the task, with the other's name and text."""
    failure = Failure.of(error)
    told = f"{failure.type}: {failure.message}"
    with suppress(BaseException):  # a class derived from ours may have left our constructor out
        if isinstance(error, Snooze):
            return Snooze(error.delay)
        if isinstance(error, Retry):
            return Retry(told, after=error.after)
    for ours in (Retry, Discard):
        if isinstance(error, ours):
            return ours(told)
    return RuntimeError(told)
