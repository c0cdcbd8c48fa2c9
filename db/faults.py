"""What a driver's error means to us. The one place that knows SQLSTATE classes and driver exceptions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import redis.exceptions
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from sluice.core.errors import (
    CommandRefused,
    Hindered,
    OutcomeUnknown,
    RowRefused,
    SluiceError,
    StoreUnavailable,
    TakesNoWrites,
)

POSTGRESQL = "PostgreSQL"
REDIS = "Redis"
SURELY_ROLLED_BACK = ("22", "23", "40")
"""SQLSTATE classes with which the server says that nothing of a transaction took effect."""
_DRIVER_CLASS = re.compile(r"^<class '[^']+'>: ")
"""What SQLAlchemy's adapter writes before the words of the driver."""
_ROW_AT_FAULT = ("22", "23", "P0")  # values, constraints, and what a trigger of the user's raises
_GIVEN_UP = {"55P03", "57014"}  # for a lock, for its time
_READ_ONLY = "25006"
# Refused before anything was done: no connection, too many connections, starting up, shutting down.
_NOTHING_DONE = ("53", "55", "57P03", "28", "3D")


def sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE of a PostgreSQL error, however deep SQLAlchemy wrapped it."""
    states = (getattr(each, "sqlstate", None) for each in _within(error))
    return next((state for state in states if isinstance(state, str)), None)


def from_postgresql(error: BaseException) -> SluiceError | None:
    """Our word for `error`; None when it is a fault of the program and must be seen as it is."""
    said = _said(sqlstate(error) or "", error)
    if said is not None:
        return said
    if isinstance(error, PoolTimeout):
        return StoreUnavailable(POSTGRESQL, "no connection became free in time")
    if isinstance(error, ConnectionRefusedError | FileNotFoundError):  # nobody listens: nothing was sent
        return StoreUnavailable(POSTGRESQL, _brief(error))
    invalidated = isinstance(error, DBAPIError) and error.connection_invalidated
    if invalidated or isinstance(error, InterfaceError | asyncpg.InterfaceError | OSError | TimeoutError):
        return OutcomeUnknown(POSTGRESQL, _brief(error))
    if any(_of_dead_connection(each) for each in _within(error)):
        return OutcomeUnknown(POSTGRESQL, "the connection was lost")
    return None


def _said(state: str, error: BaseException) -> SluiceError | None:
    """What a SQLSTATE says by itself."""
    if state.startswith(_ROW_AT_FAULT):
        return RowRefused(state, _brief(error))
    if state in _GIVEN_UP:
        return Hindered(POSTGRESQL, _brief(error))
    if state == _READ_ONLY:
        return TakesNoWrites()
    if state.startswith(_NOTHING_DONE):
        return StoreUnavailable(POSTGRESQL, _brief(error))
    if state.startswith(("08", "25P03", "25P04", "57", "58", "40", "XX")):
        return OutcomeUnknown(POSTGRESQL, _brief(error))
    return None


def rolled_back(error: BaseException) -> bool:
    """Whether the server itself says that the transaction failed, and goes on with the session.

    A FATAL may come after the commit: a server that is shut down says so to whoever waits for a standby.
    """
    return any(getattr(each, "severity_en", None) == "ERROR" for each in _within(error))


def from_our_statement(error: BaseException) -> SluiceError | None:
    """The same for a statement of ours: whatever else the server says may be mended while we wait, such as rights.

    A handler's statement that is refused like that is the handler's failure. Where no connection can be made,
    SQLAlchemy's adapter raises classes of its own: the driver's error is then the cause, or its state is all there is.
    """
    ours = from_postgresql(error)
    said = sqlstate(error) is not None or any(
        isinstance(each, asyncpg.InterfaceError) for each in _within(error)
    )
    return OutcomeUnknown(POSTGRESQL, _brief(error)) if ours is None and said else ours


def _within(error: BaseException) -> Iterator[BaseException]:
    """The driver's error and its causes, without what SQLAlchemy wrapped around them."""
    seen: BaseException | None = error.orig if isinstance(error, DBAPIError) else error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _of_dead_connection(error: BaseException) -> bool:
    """Whether a connection was used between its end and the moment in which its driver hears of that.

    asyncpg then refuses to leave the state in which the server's last words left it; uvloop refuses to write to a
    transport that it has closed already.
    """
    return isinstance(error, asyncpg.InternalClientError) or (
        isinstance(error, RuntimeError) and "the handler is closed" in str(error)
    )


@contextmanager
def postgresql_in_our_words() -> Iterator[None]:
    """What the driver raises within leaves as our error, a right that was taken away included."""
    try:
        yield
    except Exception as error:
        ours = from_our_statement(error) if sqlstate(error) in {None, "42501"} else from_postgresql(error)
        if ours is None:
            raise
        raise ours from error


def from_redis(error: BaseException) -> SluiceError | None:
    """Our word for `error`; None when it is not about reaching Redis. Unless refused, the outcome is unknown."""
    if isinstance(error, redis.exceptions.ResponseError):
        return CommandRefused(REDIS, _brief(error))
    if isinstance(error, redis.exceptions.RedisError | OSError | TimeoutError):
        return OutcomeUnknown(REDIS, _brief(error))
    if _of_dead_connection(error):
        return OutcomeUnknown(REDIS, "the connection was lost")
    return None


def refused_by_redis(command: str, error: Exception) -> SluiceError | Exception:
    """Our word for the refusal of one command: its name belongs to the reason, for whoever has to mend it."""
    if isinstance(error, redis.exceptions.ResponseError) and not isinstance(
        error, redis.exceptions.ReadOnlyError
    ):
        return CommandRefused(REDIS, f"it refuses {command}: {_brief(error)}")
    return error


def wrong_type(error: BaseException) -> bool:
    """Whether one of our keys holds something that is not a list (S1 entries)."""
    return isinstance(error, redis.exceptions.ResponseError) and str(error).startswith("WRONGTYPE")


def _brief(error: BaseException) -> str:
    """One line without the statement and its parameters: those may hold what must not be logged."""
    inner = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    text = _DRIVER_CLASS.sub("", str(inner).strip().partition("\n")[0])
    return text or type(inner).__name__
