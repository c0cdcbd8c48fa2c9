"""An engine's connections, each for one statement at a time. Knows no statement and no error of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import asyncpg
    from sqlalchemy import PoolProxiedConnection
    from sqlalchemy.ext.asyncio import AsyncEngine


class Connections:
    """`keeps`: they stay at hand between statements, which saves a third of a short statement's CPU.

    For an engine that nobody else takes connections from: its pool has none left.
    """

    def __init__(self, engine: AsyncEngine, *, keeps: bool) -> None:
        self.engine = engine
        self._keeps = keeps
        self._at_hand: list[PoolProxiedConnection] = []
        self._waiting = 0

    async def take(self) -> PoolProxiedConnection:
        """One at hand, or from the pool; those that the server closed while they lay there are replaced."""
        while True:
            pooled = self._at_hand.pop() if self._at_hand else await self._from_pool()
            if not cast("asyncpg.Connection[asyncpg.Record]", pooled.driver_connection).is_closed():
                return pooled
            pooled.invalidate()

    def give(self, pooled: PoolProxiedConnection) -> None:
        """Have it back from a statement that succeeded. Somebody who waits for the pool gets it from there."""
        if self._keeps and not self._waiting:
            self._at_hand.append(pooled)
        else:
            pooled.close()

    async def close(self) -> None:
        """Close all of them; what is given from now on goes back to the pool."""
        self._keeps = False
        while self._at_hand:
            self._at_hand.pop().close()
        await self.engine.dispose()

    async def _from_pool(self) -> PoolProxiedConnection:
        self._waiting += 1
        try:
            return await self.engine.raw_connection()
        finally:
            self._waiting -= 1
