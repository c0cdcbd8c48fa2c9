"""The error tree: facts as attributes, nothing about HTTP or exit codes.

SluiceError
├── ConfigurationError        a setting, a server or a handler module that cannot be used as it is
│   ├── HandlersRefused       a module that HANDLERS names: only another code mends it
│   ├── SchemaBehind          the database needs `sluice migrate`
│   └── SchemaAhead           the database belongs to a later major version
├── StoreUnavailable          PostgreSQL or Redis did not answer
│   ├── Hindered              PostgreSQL gave the statement up: a lock that somebody holds, or its time limit
│   ├── CommandRefused        Redis answers, and refuses what was asked
│   ├── OutcomeUnknown        ... and what was sent may have taken effect
│   └── TakesNoWrites         PostgreSQL answers, and may only be read
├── RowRefused                PostgreSQL refuses one row's values
├── Overloaded                a bounded buffer is full
├── TaskNotFound
├── TransitionRefused         the task's status does not allow what was asked
├── UnknownKind               no consumer ever registered the kind
└── PayloadRefused            the payload does not fit the kind's schema
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from sluice.core.task import Status, TaskId


class SluiceError(Exception):
    """Everything that Sluice raises on purpose."""


class ConfigurationError(SluiceError):
    """Something outside of the code must change first; the message says what."""


class HandlersRefused(ConfigurationError):
    """A module of handlers, or a function in it, cannot be used as it is written."""


class SchemaBehind(ConfigurationError):
    """The database's schema is older than this code, or not there at all."""

    def __init__(
        self, found: str | None, wanted: str, *, where: str = "the database", recorded: bool = True
    ) -> None:
        at = f"at revision {found}" if found else "empty"
        if found and not recorded:
            at += ", which its table sluice_version does not say"
        super().__init__(f"{where} is {at}, this version needs {wanted}: run `sluice migrate`")
        self.found = found
        self.wanted = wanted


class SchemaAhead(ConfigurationError):
    """The database's schema was made by a version that this code cannot work beside."""

    def __init__(self, found: str, wanted: str) -> None:
        super().__init__(
            f"the database is at revision {found}, which this version (made for {wanted}) cannot use: "
            "install the version of Sluice that migrated it, or run `alembic downgrade` there"
        )
        self.found = found
        self.wanted = wanted


class StoreUnavailable(SluiceError):
    """A store did not answer, or answered that it cannot serve now. Nothing was applied, as far as is known."""

    def __init__(self, store: str, reason: str) -> None:
        super().__init__(f"{store} is not available: {reason}")
        self.store = store
        self.reason = reason


class Hindered(StoreUnavailable):
    """PostgreSQL gave the statement up, for a lock that somebody holds or for its time limit: nothing was done."""


class CommandRefused(StoreUnavailable):
    """The store answers, but not to this command: a right is missing, memory is full, the version is too old."""


class OutcomeUnknown(StoreUnavailable):
    """The connection went away after the statement was sent: it may have taken effect."""


class TakesNoWrites(StoreUnavailable):
    """PostgreSQL answers and takes no writes. It may be promoted, or let go of its setting, at any time."""

    def __init__(self) -> None:
        super().__init__(
            "PostgreSQL", "it takes no writes (a standby, or default_transaction_read_only is on)"
        )


class RowRefused(SluiceError):
    """PostgreSQL refuses the values themselves (SQLSTATE classes 22 and 23); sending them again cannot help."""

    def __init__(self, sqlstate: str, reason: str) -> None:
        super().__init__(reason)
        self.sqlstate = sqlstate
        self.reason = reason


class Overloaded(SluiceError):
    """A bounded buffer is full; try again after `retry_after`."""

    def __init__(self, what: str, retry_after: timedelta) -> None:
        super().__init__(f"{what} is full")
        self.retry_after = retry_after


class TaskNotFound(SluiceError):
    """No row has this id: it never had one, or retention removed it."""

    def __init__(self, task_id: TaskId) -> None:
        super().__init__(f"there is no task {task_id}")
        self.task_id = task_id


class TransitionRefused(SluiceError):
    """The state machine has no edge from the task's status to the one asked for."""

    def __init__(self, task_id: TaskId, status: Status, wanted: Status) -> None:
        super().__init__(f"task {task_id} is {status}: it cannot become {wanted}")
        self.task_id = task_id
        self.status = status
        self.wanted = wanted


class UnknownKind(SluiceError):
    """No consumer ever registered this kind."""

    def __init__(self, kind: str, nearest: Sequence[str]) -> None:
        hint = f"; did you mean {', '.join(nearest)}?" if nearest else ""
        super().__init__(f"no consumer has registered the kind {kind!r}{hint}")
        self.kind = kind
        self.nearest = tuple(nearest)


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong with a value: `path` holds the keys and indexes from the value's root."""

    path: tuple[str | int, ...]
    detail: str


class PayloadRefused(SluiceError):
    """The payload does not fit the schema its kind was registered with."""

    def __init__(self, kind: str, flaws: Sequence[Flaw]) -> None:
        super().__init__(f"the payload does not fit the kind {kind!r}")
        self.kind = kind
        self.flaws = tuple(flaws)
