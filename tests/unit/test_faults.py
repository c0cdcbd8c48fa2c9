from __future__ import annotations

import asyncio
import socket

import asyncpg
import pytest
import redis.exceptions
import uvloop
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import create_async_engine

from sluice.core.errors import (
    CommandRefused,
    Hindered,
    OutcomeUnknown,
    RowRefused,
    SluiceError,
    StoreUnavailable,
    TakesNoWrites,
)
from sluice.db.faults import (
    SURELY_ROLLED_BACK,
    from_postgresql,
    from_redis,
    postgresql_in_our_words,
    refused_by_redis,
    rolled_back,
    sqlstate,
    wrong_type,
)
from sluice.db.session import Database


class ServerSays(Exception):
    def __init__(self, state: str | None, text: str = "what the server says") -> None:
        super().__init__(text)
        self.sqlstate = state


def wrapped(error: BaseException, *, invalidated: bool = False) -> DBAPIError:
    """As SQLAlchemy raises it: the driver's error behind an adapter's, which names its class, behind its own."""
    adapter = Exception(f"{type(error)}: {error}")
    adapter.__cause__ = error
    return DBAPIError("SELECT hush", {"password": "hush"}, adapter, connection_invalidated=invalidated)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("22001", RowRefused),
        ("22P02", RowRefused),
        ("23505", RowRefused),
        ("23514", RowRefused),
        ("53300", StoreUnavailable),
        ("55P03", Hindered),
        ("57P03", StoreUnavailable),
        ("28P01", StoreUnavailable),
        ("3D000", StoreUnavailable),
        ("25006", TakesNoWrites),
        ("08006", OutcomeUnknown),
        ("57P01", OutcomeUnknown),
        ("57014", Hindered),
        ("58030", OutcomeUnknown),
        ("40001", OutcomeUnknown),
        ("40P01", OutcomeUnknown),
        ("XX000", OutcomeUnknown),
        ("42P01", None),
        ("42601", None),
        ("25001", None),
        ("0A000", None),
    ],
)
@pytest.mark.parametrize("wrap", [wrapped, lambda error: error], ids=["wrapped", "bare"])
def test_a_sqlstate_says_whose_fault_it_is(state: str, kind: type[SluiceError] | None, wrap: object) -> None:
    error = wrap(ServerSays(state))  # type: ignore[operator] # one of the two above
    found = from_postgresql(error)

    assert sqlstate(error) == state
    assert type(found) is (kind or type(None))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError(), StoreUnavailable),
        (FileNotFoundError("no socket"), StoreUnavailable),
        (ConnectionResetError(), OutcomeUnknown),
        (socket.gaierror("no such host"), OutcomeUnknown),
        (TimeoutError(), OutcomeUnknown),
        (asyncpg.InterfaceError("connection is closed"), OutcomeUnknown),
        (InterfaceError("SELECT", {}, Exception("gone")), OutcomeUnknown),
        (PoolTimeout("QueuePool limit"), StoreUnavailable),
        (wrapped(Exception("lost"), invalidated=True), OutcomeUnknown),
        (wrapped(Exception("odd")), None),
        (OperationalError("SELECT", {}, Exception("odd")), None),
        (KeyError("column"), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_error_without_a_sqlstate_is_about_the_connection_or_a_fault_of_the_program(
    error: Exception, kind: type[SluiceError] | None
) -> None:
    assert type(from_postgresql(error)) is (kind or type(None))


def test_what_surely_took_no_effect_is_told_from_the_rest() -> None:
    assert all(
        (state.startswith(SURELY_ROLLED_BACK)) is sure
        for state, sure in {
            "23505": True,
            "22P02": True,
            "40001": True,
            "57014": False,
            "08006": False,
        }.items()
    )


@pytest.mark.parametrize(("severity", "sure"), [("ERROR", True), ("FATAL", False), ("PANIC", False)])
def test_an_error_that_leaves_the_session_alive_proves_the_rollback(severity: str, sure: bool) -> None:
    """Whatever its code; a FATAL may come after the commit."""
    said = asyncpg.PostgresError.new({"S": "FEHLER", "V": severity, "C": "57014", "M": "no"})
    assert rolled_back(said) is sure
    assert rolled_back(wrapped(said)) is sure
    assert not rolled_back(ConnectionResetError())


def test_the_reason_is_one_line_without_the_statement_and_its_values() -> None:
    found = from_postgresql(wrapped(ServerSays("22P02", "invalid input\nDETAIL: hush")))
    assert isinstance(found, RowRefused)
    assert (found.reason, found.sqlstate) == ("invalid input", "22P02")


def test_an_error_that_says_nothing_is_named() -> None:
    found = from_postgresql(ConnectionResetError())
    assert isinstance(found, StoreUnavailable)
    assert (found.store, found.reason) == ("PostgreSQL", "ConnectionResetError")


def test_what_the_driver_raises_leaves_as_our_error_and_what_is_no_error_of_its_own_as_it_is() -> None:
    driver = wrapped(ServerSays("23505"))
    with pytest.raises(RowRefused) as refused, postgresql_in_our_words():
        raise driver
    assert refused.value.__cause__ is driver

    with pytest.raises(KeyError), postgresql_in_our_words():
        raise KeyError


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InterfaceError("the client's configuration does not fit"),
        asyncpg.InsufficientPrivilegeError("permission denied for database"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_connection_that_cannot_be_made_is_the_stores_fault(error: Exception) -> None:
    """SQLAlchemy's adapter has words of its own for these, and nothing around them outside of its Connection."""

    async def connect() -> asyncpg.Connection[asyncpg.Record]:
        raise error

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect)
    with pytest.raises(OutcomeUnknown, match=str(error)):
        await Database(engine).rows("held", consumer_id=None)
    with pytest.raises(OutcomeUnknown, match=str(error)), postgresql_in_our_words():
        async with engine.connect():
            raise AssertionError("connected")


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (redis.exceptions.ConnectionError("gone"), True),
        (redis.exceptions.TimeoutError(), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (KeyError(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_where_redis_does_not_answer_the_effect_is_unknown(error: Exception, ours: bool) -> None:
    found = from_redis(error)
    assert isinstance(found, OutcomeUnknown) is ours
    if isinstance(found, StoreUnavailable):
        assert found.store == "Redis"


def test_a_refusal_of_redis_is_one_and_names_the_command() -> None:
    refusals = (
        redis.exceptions.ReadOnlyError("READONLY"),
        redis.exceptions.OutOfMemoryError("OOM command not allowed"),
        redis.exceptions.NoPermissionError("NOPERM"),
    )
    for error in refusals:
        assert isinstance(from_redis(error), CommandRefused)
    named = refused_by_redis("LPUSH", refusals[1])
    assert isinstance(named, CommandRefused)
    assert named.reason == "it refuses LPUSH: OOM command not allowed"
    lost = redis.exceptions.ConnectionError("gone")
    assert refused_by_redis("LPUSH", lost) is lost


def test_a_key_of_the_wrong_type_is_recognized() -> None:
    assert wrong_type(redis.exceptions.ResponseError("WRONGTYPE Operation against a key"))
    assert not wrong_type(redis.exceptions.ResponseError("ERR unknown command"))
    assert not wrong_type(ValueError("WRONGTYPE"))


STALE = asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")


@pytest.mark.parametrize("error", [STALE, wrapped(STALE)])
def test_a_connection_whose_end_its_driver_has_not_heard_of_is_a_lost_connection(error: Exception) -> None:
    assert type(from_postgresql(error)) is OutcomeUnknown


def test_so_is_one_whose_transport_is_closed_already() -> None:
    async def write() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
            transport.abort()
            await asyncio.sleep(0.01)
            transport.write(b"PING")

    with pytest.raises(RuntimeError) as refused:
        uvloop.run(write())
    assert type(from_redis(refused.value)) is OutcomeUnknown
    assert type(from_postgresql(refused.value)) is OutcomeUnknown


def test_any_other_error_at_run_time_is_a_fault_of_the_program() -> None:
    assert from_redis(RuntimeError("this run has ended")) is None
    assert from_postgresql(RuntimeError("this run has ended")) is None
