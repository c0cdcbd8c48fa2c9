"""The stores of one consumer: engines, Redis clients and what speaks through them. Opens no connection yet."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from sluice.db.broker import Broker
from sluice.db.claims import Claims
from sluice.db.consumers import Consumers
from sluice.db.keys import Keys
from sluice.db.publisher import Publisher
from sluice.db.ready import ReadyLists
from sluice.db.roster import Roster
from sluice.db.session import DEFAULT_LIMITS, Database, Limits, make_engine
from sluice.db.signals import Signals
from sluice.db.upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sluice.core.events import Report
    from sluice.core.settings import ConsumerSettings

HOT_CONNECTIONS = 5
"""Claim, complete, reconcile, and two for the upkeep steps: each is one short statement. A suspect's name is rare."""
LOCK_WAIT = timedelta(seconds=1)
"""How long a statement waits for a row that somebody holds locked, and the outcomes behind it with it (R5 outcomes)."""
_FOREVER = timedelta(days=7)


def answer_timeout(lease: timedelta) -> timedelta:
    """How long a statement's answer is waited for.

    What a silence swallowed is sent again before anybody who was cut off as well may judge us: that takes a whole
    lease of good beats (U2 reap).
    """
    return min(DEFAULT_LIMITS.answer, lease * 2 / 3)


class Stores:
    """`ready` and `signals` are None without Redis."""

    def __init__(self, settings: ConsumerSettings, report: Report) -> None:
        self.schema = settings.sluice_schema
        self._connect = partial(
            make_engine, settings.database_url.get_secret_value(), schema=settings.sluice_schema
        )
        self._lease = settings.lease
        self.engine = self._connect(
            role="consumer",
            pool_size=HOT_CONNECTIONS,
            limits=replace(DEFAULT_LIMITS, answer=answer_timeout(self._lease), lock=LOCK_WAIT),
        )
        # ctx.session() waits for a connection as long as its task may run, which the handler's timeout bounds.
        self.handler_engine = self._connect(
            role="handler",
            pool_size=settings.handler_pool_size,
            limits=Limits(answer=_FOREVER, pool_wait=_FOREVER),
            transactional=True,
        )
        self.database = Database(self.engine, keeps=True)
        self.claims = Claims(self.database)
        self.consumers = Consumers(self.database)
        self.upkeep = Upkeep(self.database)
        redis_url = settings.redis_url.get_secret_value()
        keys = Keys(settings.redis_prefix)
        self.broker = Broker(redis_url) if redis_url else None
        self.ready = ReadyLists(self.broker, keys, report) if self.broker else None
        self.signals = Signals(self.broker, keys) if self.broker else None
        self.roster = Roster(self.consumers)
        self.publisher = Publisher(self.ready, self.roster, report=report)

    @asynccontextmanager
    async def open_beats(self) -> AsyncIterator[Consumers]:
        """Open a connection for the heartbeat's thread and loop (L2 heartbeat). Its limits leave time for two tries."""
        third = self._lease / 3
        limits = Limits(connect=min(third, timedelta(seconds=3)), statement=third, lock=third, answer=third)
        database = Database(self._connect(role="beat", pool_size=1, limits=limits))
        try:
            yield Consumers(database)
        finally:
            await database.close()

    async def close(self) -> None:
        """Close every connection."""
        await self.handler_engine.dispose()
        await self.database.close()
        if self.broker is not None:
            await self.broker.close()
