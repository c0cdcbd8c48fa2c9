"""How one attempt ended, and what is written of it, as values. core/retry.py makes the second of the first."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from sluice.core.task import MAX_ERROR_BYTES, FencingToken, JsonText, TaskId


@dataclass(frozen=True, slots=True)
class Failure:
    """What the row keeps of an exception: its type's name and a message that PostgreSQL can store."""

    type: str
    message: str

    @property
    def words(self) -> str:
        """For a log line: the type, and the first line of the message."""
        first = self.message.partition("\n")[0][:200]
        return f"{self.type}: {first}" if first else self.type

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """From an exception; never raises, whatever the exception's `__str__` does."""
        try:
            message = storable(str(error), MAX_ERROR_BYTES)
        except BaseException as unprintable:  # noqa: BLE001 - a handler's exception class is not ours to trust
            message = f"(its message could not be read: {type(unprintable).__name__})"
        return cls(storable(type(error).__name__, 256), message)


def storable(text: str, limit: int) -> str:
    """`text` without NUL and lone surrogates, cut to `limit` bytes of UTF-8 on a character's border."""
    # Cut before it is looked at: a message may be of any length, and a character takes a byte at least.
    clean = text[:limit].replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace")
    return clean[:limit].decode("utf-8", "ignore")


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The handler returned; `result` is its JSON, None when it returned None."""

    result: JsonText | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler raised. `retry_after` overrides the backoff; `final` means no further try.

    `traceback` is for the log alone.
    """

    failure: Failure
    retry_after: timedelta | None = None
    final: bool = False
    traceback: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The handler was still running when its time was over."""

    after: timedelta

    @property
    def failure(self) -> Failure:
        """What the row keeps of it, and the log says."""
        return Failure("Timeout", f"did not end within {self.after.total_seconds():g} s")


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The handler asked to be run again later, uncharged."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class Canceled:
    """The run was stopped because its row was said to be canceled or taken."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The consumer stopped the run for its own sake: a drain, or a lease that it no longer trusts."""


Outcome = Succeeded | Failed | TimedOut | Snoozed | Canceled | Interrupted


class Completion(NamedTuple):
    """Write that this attempt succeeded. One is made for every task: a tuple takes half the time of a dataclass."""

    id: TaskId
    token: FencingToken
    result: JsonText | None


@dataclass(frozen=True, slots=True)
class Failing:
    """Write that this attempt failed. The next may start after `delay`; None: there is none."""

    id: TaskId
    token: FencingToken
    failure: Failure
    delay: timedelta | None


@dataclass(frozen=True, slots=True)
class Return:
    """Hand this attempt back uncharged: pending again, due after `delay`.

    `canceled`: its row is said to be canceled, and then takes no write any more.
    """

    id: TaskId
    token: FencingToken
    delay: timedelta = timedelta()
    canceled: bool = False


class Reason(StrEnum):
    """Why a task that was pulled or claimed goes back without having begun."""

    DRAINING = "draining"
    LEASE = "lease not trusted"
    CANCELED = "canceled before it began"
    TIMED_OUT = "its time was over before it began"
    FULL = "full"
    PREFETCHED = "full, prefetched"
    SUSPECT = "another suspect is running"
    UNNAMED = "its name could not be written"
    ANSWER_LOST = "the answer to its claim was lost"


Write = Completion | Failing | Return
"""A fenced write: it names the run that it means (R2 fence)."""
