"""Connections to PostgreSQL: engines with every limit set, and one way to run a statement. Knows no statement."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

import asyncpg
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sluice.core.errors import ConfigurationError
from sluice.db import driver
from sluice.db.connections import Connections
from sluice.db.faults import from_our_statement
from sluice.db.statements import positional

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Driver = asyncpg.Connection[asyncpg.Record]

T = TypeVar("T")

OLDEST_SERVER = 150_000
VICTIM_WAITS = 0.1
"""Seconds: sent again at once, a deadlock's victim could take the same lock before the winner wakes."""
_PROBES_ONLY = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}
"""Each of our statements is a few index probes. Statistics lag behind a queue that fills and drains in seconds, and the
planner then prefers to read the whole table or a whole index once; where nothing else is possible it still may. One
plan does for all parameters: planned anew each time, a claim of one task takes a third longer, a finish a quarter."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may take (R4 locks). The server ends a statement, `answer` waiting for a silent server."""

    connect: timedelta = timedelta(seconds=3)
    statement: timedelta = timedelta(seconds=10)
    lock: timedelta = timedelta(seconds=3)
    idle_in_transaction: timedelta = timedelta(seconds=60)
    answer: timedelta = timedelta(seconds=12)
    pool_wait: timedelta = timedelta(seconds=5)


DEFAULT_LIMITS = Limits()


class Record(asyncpg.Record):
    """A row whose columns are attributes too."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a column's value
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def make_engine(
    url: str,
    *,
    role: str,
    pool_size: int,
    limits: Limits = DEFAULT_LIMITS,
    transactional: bool = False,
    schema: str = "",
) -> AsyncEngine:
    """An engine that opens nothing yet. `role` shows in pg_stat_activity as `sluice/<role>`.

    Unless `transactional`, every statement is ours and its own transaction: one round trip instead of three, and names
    are looked up in `schema` first. The statements of others have the database's own search path. A connection that
    the server closed while it lay in the pool is replaced when it is taken from there, by whichever way.
    The URL goes to asyncpg as it is, so that all that libpq understands in one (sslmode, sockets, several hosts) works.
    """
    dsn = re.sub(r"^postgres(ql\+asyncpg)?://", "postgresql://", url)
    settings = {
        "statement_timeout": _milliseconds(limits.statement),
        "lock_timeout": _milliseconds(limits.lock),
        "idle_in_transaction_session_timeout": _milliseconds(limits.idle_in_transaction),
        "default_transaction_isolation": "read committed",
        "jit": "off",
        **({} if transactional else _PROBES_ONLY),
    }

    async def connect() -> asyncpg.Connection[asyncpg.Record]:
        connection = await asyncpg.connect(
            dsn,
            connection_class=driver.Connection,
            timeout=limits.connect.total_seconds(),
            command_timeout=limits.answer.total_seconds(),
            record_class=asyncpg.Record if transactional else Record,
            server_settings={
                "application_name": f"sluice/{role}",
                "timezone": "UTC",
                "client_encoding": "UTF8",  # another one in the URL would alter every text
            },
        )
        try:
            prepare = driver.prepare_to_lend if transactional else driver.prepare
            await prepare(connection, settings, schema=schema)
        except BaseException:  # a cancellation too: nobody else knows of this connection yet
            connection.terminate()
            raise
        return connection

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=limits.pool_wait.total_seconds(),
        pool_use_lifo=True,
        pool_reset_on_return="rollback" if transactional else None,
        isolation_level="READ COMMITTED" if transactional else "AUTOCOMMIT",
        json_deserializer=None if transactional else _as_it_is,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(adapted: Any, _record: object, _pooled: object) -> None:  # noqa: ANN401 - SQLAlchemy's adapter
    """Have the pool open another connection instead of this one. Asks the driver and not the server."""
    if adapted.driver_connection.is_closed():
        raise DisconnectionError


def _as_it_is(text: str) -> str:
    """JSON stays text on our own connections; what handlers read through theirs is decoded as they expect."""
    return text


def _milliseconds(duration: timedelta) -> str:
    return str(int(duration.total_seconds() * 1000))


class Database:
    """Runs a consumer's statements, one at a time, each its own transaction; says what went wrong in our words.

    The engine's pool has the connections; the statement goes to the driver itself, because SQLAlchemy's way there and
    back takes 130 microseconds of CPU, as much as claiming and finishing twenty tasks. `keeps` as Connections has it.
    """

    def __init__(self, engine: AsyncEngine, *, keeps: bool = False) -> None:
        self._connections = Connections(engine, keeps=keeps)

    async def rows(self, name: str, **values: Any) -> list[Record]:
        """The rows that the statement returns, in one round trip.

        Raises StoreUnavailable (OutcomeUnknown when it may have taken effect) and RowRefused. A deadlock's victim is
        sent once more (R4 locks). Not safe to cancel where the effect matters: the statement may still take place.
        """
        sql, names = positional(name)
        return cast(
            "list[Record]", await self._run(lambda driver: driver.fetch(sql, *[values[key] for key in names]))
        )

    async def count(self, name: str, **values: Any) -> int:
        """How many rows the statement changed; errors as for `rows`."""
        sql, names = positional(name)
        status = await self._run(lambda driver: driver.execute(sql, *[values[key] for key in names]))
        return int(status.rpartition(" ")[2])

    async def _run(self, send: Callable[[Driver], Awaitable[T]]) -> T:
        try:
            try:
                return await self._once(send)
            except asyncpg.DeadlockDetectedError:
                await asyncio.sleep(VICTIM_WAITS)
                return await self._once(send)
        except Exception as error:
            ours = from_our_statement(error)
            if ours is None:
                raise
            raise ours from error

    async def _once(self, send: Callable[[Driver], Awaitable[T]]) -> T:
        """Outside of a greenlet neither giving a connection back nor dropping it waits for the server."""
        pooled = await self._connections.take()
        try:
            answer = await send(cast("Driver", pooled.driver_connection))
        except asyncpg.ReadOnlySQLTransactionError:
            pooled.invalidate()  # a session may stay read-only when new ones are not, as after a failover
            raise
        except asyncpg.PostgresError:
            pooled.close()  # the server's answer: the connection goes on, unless it was its last one
            raise
        except BaseException:
            pooled.invalidate()  # nobody knows what is still on its way through it, after a cancellation too
            raise
        self._connections.give(pooled)
        return answer

    async def refuse_unsafe_server(self) -> None:
        """Raise ConfigurationError when the server may lose what it acknowledged, or is too old."""
        [found] = await self.rows("server_settings")
        if int(found.version) < OLDEST_SERVER:
            raise ConfigurationError("this PostgreSQL is older than 15: upgrade the server")
        for name in ("fsync", "full_page_writes"):
            if getattr(found, name) != "on":
                raise ConfigurationError(
                    f"PostgreSQL runs with {name} = {getattr(found, name)}: a crash could lose accepted tasks; "
                    f"set {name} = on in postgresql.conf"
                )

    async def close(self) -> None:
        """Close every connection."""
        await self._connections.close()
