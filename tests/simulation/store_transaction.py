"""ctx.session() on SimStore: effects that commit together with the fenced completion, or not at all (R6 session).

Each of its three statements goes through a port, where a test may refuse it, delay it, or lose its answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from sluice.core.errors import StoreUnavailable
from sluice.core.outcome import Completion
from sluice.core.task import TaskId
from tests.simulation.store_claims import SimClaims, completed
from tests.simulation.store_tables import RowLock, Tables

Port = Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Called with a statement's name and what the server does when that statement reaches it."""

IDLE_LIMIT = 1.0
"""How long the server lets the transaction idle once the completion is written."""


async def straight(name: str, act: Callable[[], Awaitable[Any]]) -> Any:
    """The port without faults."""
    return await act()


class SimSession:
    """What a handler gets: `add` notes an effect, `commit` and `rollback` are those of a savepoint."""

    def __init__(self) -> None:
        self.effects: list[Any] = []
        self._kept = 0

    def add(self, effect: Any) -> None:
        """An INSERT of `effect`."""
        self.effects.append(effect)

    async def commit(self) -> None:
        self._kept = len(self.effects)

    async def rollback(self) -> None:
        del self.effects[self._kept :]


class Backend:
    """The server's side of one transaction. It ends once; what comes later finds a lost connection."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._change: Callable[[], None] | None = None
        self._locked: tuple[TaskId, RowLock] | None = None
        self._until: float | None = None
        self.state = "open"

    async def finish(self, done: Completion) -> int:
        """finish.sql: the row is locked until the end, others see it as it was. How many rows matched."""
        self._check()
        try:
            found = await SimClaims(self._tables).to_finish([done])
        except StoreUnavailable as waited:
            raise asyncpg.LockNotAvailableError(waited.reason) from None
        self._check()
        for write, row in found:
            self._change = completed(row, write, self._tables, self._tables.now())
            self._until = self._tables.uptime() + IDLE_LIMIT
            self._locked = (row.id, RowLock(self._until))
            self._tables.locks[row.id] = self._locked[1]
        return len(found)

    async def commit(self, effects: list[Any]) -> None:
        """COMMIT. Raises ConnectionResetError when the server has ended the transaction before."""
        self._check()
        self.state = "committed"
        if self._change is not None:
            self._change()
        self._tables.effects.extend(effects)
        self._unlock()

    def roll_back(self) -> None:
        """ROLLBACK, or the connection went away: of no effect after the end."""
        if self.state == "open":
            self.state = "rolled back"
            self._unlock()

    def _check(self) -> None:
        if self._until is not None and self._until <= self._tables.uptime():
            self.roll_back()
        if self.state != "open":
            raise ConnectionResetError("the server has ended this transaction")

    def _unlock(self) -> None:
        if self._locked is not None:
            self._tables.unlock(*self._locked)


class SimTransaction:
    """Has the methods of consumer.transaction.Transaction; its errors are such as the driver raises."""

    def __init__(self, tables: Tables, port: Port = straight) -> None:
        self.backend = Backend(tables)
        self._port = port
        self._session: SimSession | None = None
        self._committing = self._closed = False

    @property
    def used(self) -> bool:
        return self._session is not None

    @property
    def flushed(self) -> bool:
        """Its effects are no statements that could fail."""
        return self.used

    @property
    def committing(self) -> bool:
        return self._committing

    async def open(self) -> SimSession:
        if self._closed:
            raise RuntimeError("this run has ended: its session is closed")
        if self._session is None:
            await self._port("begin", _nothing)
            self._session = SimSession()
        return self._session

    async def complete(self, done: Completion) -> bool:
        session = self._session
        if session is None:
            raise AssertionError("complete() is for a transaction that was used")
        if await self._port("finish", lambda: self.backend.finish(done)) == 0:
            return False
        self._committing = True
        await self._port("commit", lambda: self.backend.commit(session.effects))
        return True

    async def abandon(self) -> None:
        """A COMMIT that was sent and not answered may still arrive: the server's own limit ends it otherwise."""
        self._closed = True
        if not self._committing:
            self.backend.roll_back()


async def _nothing() -> None:
    return None
