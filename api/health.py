"""How the stores, the consumers and the queues are: looked at when asked, at most once a second. Mends nothing."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

from api.patience import Patience
from api.shared import Shared
from core.errors import ConfigurationError, SluiceError, StoreUnavailable, TakesNoWrites

if TYPE_CHECKING:
    from core.task import QueueName
    from db.browse import LiveConsumer

FRESH_SECONDS = 1.0
LOOK = timedelta(seconds=1.5)

Redis = Literal["up", "down", "disabled"]
Database = Literal["up", "read-only", "down"]


class Counts(Protocol):
    """What is needed of the rows."""

    async def consumers(self) -> Sequence[LiveConsumer]: ...
    async def depths(self, also: Sequence[str] = ()) -> dict[QueueName, int]: ...


class Pings(Protocol):
    """What is needed of Redis."""

    def ping(self) -> Coroutine[Any, Any, None]: ...


@dataclass(frozen=True, slots=True)
class Checkup:
    """One look. Without PostgreSQL there are no consumers and no queues to tell of."""

    status: Literal["healthy", "degraded", "unhealthy"]
    database: Database
    redis: Redis
    consumers: Sequence[LiveConsumer]
    queues: dict[str, dict[str, int]]


class Health:
    """Looks for everybody who asks at the same time. `redis` None: there is none to be away."""

    def __init__(
        self,
        counts: Counts,
        redis: Pings | None,
        *,
        check_schema: Callable[[], Coroutine[Any, Any, None]],
        stopping: Callable[[], bool],
    ) -> None:
        self._counts = counts
        self._redis = redis
        self._check_schema = check_schema
        self._postgresql = Patience(LOOK)
        self._redis_patience = Patience(LOOK, store="Redis")
        self._look: asyncio.Task[Checkup] | None = None
        self._began = -math.inf
        self._stopping = stopping
        self._fault = Shared(self._find_fault)

    async def report(self) -> Checkup:
        """The last look, or a new one when that is older than a second. Over within two seconds, never fails."""
        loop = asyncio.get_running_loop()
        if self._look is None or (self._look.done() and loop.time() - self._began > FRESH_SECONDS):
            self._began = loop.time()
            self._look = loop.create_task(self._examine())  # owner: self._look
        return await asyncio.shield(self._look)

    async def unready(self) -> str | None:
        """Why requests should go elsewhere; None when they should not."""
        if self._stopping():
            return "it is stopping"
        fault = await self._fault()
        if isinstance(fault, StoreUnavailable) and not isinstance(fault, TakesNoWrites):
            return "PostgreSQL does not answer"
        return str(fault) if fault else None

    async def _examine(self) -> Checkup:
        async with asyncio.TaskGroup() as group:
            rows = group.create_task(self._rows())
            redis = group.create_task(self._ping())
            fault = group.create_task(self._fault())
        found = rows.result()
        if found is None:
            return Checkup("unhealthy", "down", redis.result(), [], {})
        consumers, queues = found
        if isinstance(fault.result(), TakesNoWrites):
            return Checkup("unhealthy", "read-only", redis.result(), consumers, queues)
        status: Literal["healthy", "degraded"] = "degraded" if redis.result() == "down" else "healthy"
        return Checkup(status, "up", redis.result(), consumers, queues)

    async def _find_fault(self) -> SluiceError | None:
        """What keeps this process from its work: the store, the schema, or a right that was taken from our role."""
        try:
            await self._postgresql(self._check_schema())
        except (StoreUnavailable, ConfigurationError) as fault:
            return fault
        return None

    async def _rows(self) -> tuple[Sequence[LiveConsumer], dict[str, dict[str, int]]] | None:
        try:
            return await self._postgresql(self._count())
        except StoreUnavailable:
            return None

    async def _count(self) -> tuple[Sequence[LiveConsumer], dict[str, dict[str, int]]]:
        consumers = await self._counts.consumers()
        served = sorted({queue for consumer in consumers for queue in consumer.queues})
        depths = await self._counts.depths(served)
        return consumers, {queue: {"depth": depth} for queue, depth in sorted(depths.items())}

    async def _ping(self) -> Redis:
        if self._redis is None:
            return "disabled"
        try:
            await self._redis_patience(self._redis.ping())
        except StoreUnavailable:
            return "down"
        return "up"
