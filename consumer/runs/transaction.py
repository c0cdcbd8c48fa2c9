"""ctx.session(): the handler's writes and the completion in one transaction (R6 session). Opens nothing unasked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from sluice.core.errors import StoreUnavailable
from sluice.db.claims import finish_values
from sluice.db.faults import SURELY_ROLLED_BACK, from_postgresql, rolled_back, sqlstate
from sluice.db.session import DEFAULT_LIMITS
from sluice.db.statements import statement

if TYPE_CHECKING:
    from types import TracebackType

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncTransaction

    from sluice.core.outcome import Completion
    from sluice.db.driver import Connection


_ANSWER_SECONDS = DEFAULT_LIMITS.answer.total_seconds()
"""How long our own statements in it are waited for. The handler's own have the task's timeout."""


_LIMITS = text(
    "SELECT set_config('statement_timeout', :limit, true), "
    "set_config('idle_in_transaction_session_timeout', :limit, true)"
)
_LOOK_UP = text("SELECT set_config('search_path', :path, true)")
_BEFORE_FINISH = text(
    "SELECT current_setting('search_path'), set_config('search_path', :path, true), "
    "set_config('idle_in_transaction_session_timeout', '1s', true)"
)
"""Our table is found whatever path the handler looks its own up by, and has set within its transaction."""


class OwnTransaction(Protocol):
    """The handler's own transaction."""

    @property
    def used(self) -> bool: ...
    @property
    def flushed(self) -> bool: ...
    @property
    def committing(self) -> bool: ...
    async def open(self) -> AsyncSession: ...
    async def complete(self, done: Completion) -> bool: ...
    async def abandon(self) -> None: ...


class Session(AsyncSession):
    """What a handler writes with. It ends with its run alone: leaving `async with`, or closing it, keeps what it wrote.

    SQLAlchemy's own would throw that away unless it was committed, and the task would be completed without its effects.
    """

    async def close(self) -> None:
        """Send what waits; the session goes on."""
        await self.flush()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Keep what was written, or after an error go back to the last commit: the handler may catch it and return."""
        await (self.flush() if kind is None else self.rollback())

    async def end(self) -> None:
        """Close it in earnest; what was not committed is gone."""
        await super().close()


class Transaction:
    """The transaction of one run. Not shared between tasks, and of no use after `complete` or `abandon`."""

    __slots__ = (
        *(
            "_closed",
            "_connection",
            "_engine",
            "_limit",
            "_opening",
            "_outer",
            "_rollback_timeout",
            "_session",
        ),
        *("committing", "flushed"),
    )

    def __init__(self, engine: AsyncEngine, limit: float, rollback_timeout: float) -> None:
        """`limit`: seconds that a statement, or a pause between two, may take: the task's timeout.

        `rollback_timeout`: seconds that a silent server may hold up the end of a run that is rolled back.
        """
        self._engine = engine
        self._limit = limit
        self._rollback_timeout = rollback_timeout
        self._connection: AsyncConnection | None = None
        self._outer: AsyncTransaction | None = None
        self._session: Session | None = None
        self._opening: asyncio.Lock | None = None
        self._closed = False
        self.flushed = False
        """Whether its connection has survived the handler and its last flush: what fails from then on is ours."""
        self.committing = False
        """Whether COMMIT was sent: what the server then says of the transaction is the handler's doing."""

    @property
    def used(self) -> bool:
        """Whether the handler ever asked for a session."""
        return self._session is not None

    async def open(self) -> AsyncSession:
        """The session, made on the first call. What the handler commits in it is a savepoint of ours."""
        # Parts of a handler that ask at once get one session, not two of which one is lost.
        self._opening = self._opening or asyncio.Lock()
        async with self._opening:
            self._refuse_late()
            if self._session is None:
                try:
                    self._session = await self._begin()
                except BaseException:  # a stop may come between the connection and its first statement
                    await self._release()
                    raise
            return self._session

    async def _begin(self) -> Session:
        while True:
            self._connection = connection = await self._engine.connect()
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await self._start(connection)
                break
            except TimeoutError:  # half-open: its server is gone, or somewhere else by now
                await self._release()
        self._refuse_late()
        return Session(bind=connection, join_transaction_mode="create_savepoint", expire_on_commit=False)

    async def _start(self, connection: AsyncConnection) -> None:
        try:
            await (await _driver(connection)).forget()
        except BaseException:  # nobody knows what is still on its way through it
            await connection.invalidate()
            raise
        self._outer = await connection.begin()
        await connection.execute(_LIMITS, {"limit": f"{int(self._limit * 1000) + 1000}ms"})

    def _refuse_late(self) -> None:
        if self._closed:
            raise RuntimeError("this run has ended: its session is closed")

    async def complete(self, done: Completion) -> bool:
        """Commit the handler's writes together with the fenced completion; False when the token was no longer ours.

        Raises what the flush, the completion or the commit raised. A flush that fails is the handler's failure, like
        any statement of its own, and so is a COMMIT that the server refuses, for a deferred trigger or constraint:
        given back uncharged, what fails each time would be tried for ever. Otherwise nothing is repeated and no read
        decides what became of a COMMIT: the caller gives the try back, fenced. `abandon` follows.
        """
        connection, session = self._connection, self._session
        if connection is None or session is None or self._outer is None:
            raise AssertionError("complete() is for a transaction that was used")
        await session.commit()
        async with asyncio.timeout(_ANSWER_SECONDS):
            path = (await _driver(connection)).our_path
            theirs = await connection.scalar(_BEFORE_FINISH, {"path": path})
            self.flushed = True
            ours = await connection.execute(statement("finish"), finish_values([done]))
            if ours.rowcount == 0:
                return False
            if theirs != path:  # triggers that wait for the commit are the handler's
                await connection.execute(_LOOK_UP, {"path": theirs})
            self.committing = True
            await self._outer.commit()
        return True

    async def abandon(self) -> None:
        """End whatever is open. Never raises: a connection that cannot roll back is thrown away. May be repeated."""
        self._closed = True
        await self._release()

    async def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            async with asyncio.timeout(self._rollback_timeout):
                if self._session is not None:
                    await self._session.end()
                await connection.close()
        except Exception:  # noqa: BLE001 - the server rolls back what a lost connection left open
            if not connection.closed:
                await connection.invalidate()
                await connection.close()


MakesTransaction = Callable[["AsyncEngine", float, float], OwnTransaction]
"""From the engine behind ctx.session(), the task's timeout, and how long a ROLLBACK may take, both in seconds.

A run that was stopped for its lease must be gone before the margin is over (L3 trust).
"""


def surely_refused(transaction: OwnTransaction, error: Exception) -> bool:
    """Whether the server has said that nothing of the transaction took effect, for the handler's own doing."""
    if not isinstance(from_postgresql(error), StoreUnavailable):
        return True
    said = (sqlstate(error) or "").startswith(SURELY_ROLLED_BACK)
    return said or (transaction.committing and rolled_back(error))


async def _driver(connection: AsyncConnection) -> Connection:
    return cast("Connection", (await connection.get_raw_connection()).driver_connection)
