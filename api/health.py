"""How the stores, the consumers and the queues are: looked at when asked, at most once a second. Mends nothing."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

from sluice.api.depths import Depths
from sluice.api.shared import Shared
from sluice.api.timeout import Timeout
from sluice.api.unserved import UnservedKinds, of_kinds, of_nobody_alive, of_queues, unserved
from sluice.core.errors import (
    CommandRefused,
    ConfigurationError,
    SluiceError,
    StoreUnavailable,
    TakesNoWrites,
)
from sluice.core.task import QueueName

if TYPE_CHECKING:
    from sluice.api.depths import Counted
    from sluice.api.unserved import LooksAround
    from sluice.core.task import Kind
    from sluice.db.browse import Depth, LiveConsumer

FRESH_SECONDS = 1.0
LOOK = timedelta(seconds=1.5)
COUNTING = timedelta(milliseconds=300)
"""For names and counts, beyond their budget: for a statement that takes its time. The older counts are shown then."""

Redis = Literal["up", "refusing", "down", "disabled"]
Database = Literal["up", "read-only", "down"]


class Counts(Protocol):
    """What is needed of the rows."""

    async def consumers(self) -> Sequence[LiveConsumer]: ...
    async def queues(self, after: str, n: int) -> list[QueueName]: ...
    async def depths(self, queues: Sequence[QueueName]) -> dict[QueueName, Depth]: ...
    async def waiting_kinds(
        self, queues: Sequence[QueueName], afters: Sequence[str], n: int
    ) -> list[tuple[QueueName, Kind]]: ...


class TriesLists(Protocol):
    """What is needed of the ready lists."""

    def try_pushing(self) -> Coroutine[Any, Any, None]: ...
    def try_popping(self) -> Coroutine[Any, Any, None]: ...


class TriesTelling(Protocol):
    """What is needed of the signals."""

    def try_telling(self) -> Coroutine[Any, Any, None]: ...


@dataclass(frozen=True, slots=True)
class Checkup:
    """One look. Without PostgreSQL there are no consumers and no queues to tell of."""

    status: Literal["healthy", "degraded", "unhealthy"]
    database: Database
    redis: Redis
    reasons: list[str]
    warnings: list[str]
    consumers: Sequence[LiveConsumer]
    queues: dict[str, Counted]
    unnamed_queues: int
    unserved_queues: list[str]


class Health:
    """Looks for everybody who asks at the same time. `ready` and `signals` None: there is no Redis to be away.

    `roster` is its own: two who look around through one would undo each other's looks.
    """

    def __init__(
        self,
        counts: Counts,
        ready: TriesLists | None,
        signals: TriesTelling | None,
        *,
        roster: LooksAround,
        check_schema: Callable[[], Coroutine[Any, Any, None]],
        stopping: Callable[[], bool],
    ) -> None:
        self._counts = counts
        self._depths = Depths(counts)
        self._kinds = UnservedKinds(counts, roster)
        self._ready = ready
        self._signals = signals
        self._check_schema = check_schema
        self._postgresql = Timeout(LOOK)
        self._counting = Timeout(COUNTING)
        self._redis_timeout = Timeout(LOOK, store="Redis")
        self._look: asyncio.Task[Checkup] | None = None
        self._began = -math.inf
        self._stopping = stopping
        self._fault = Shared(self._find_fault)

    def begin(self) -> asyncio.Task[Checkup]:
        """Begin a look, which opens the connections. It is for those who ask before it is over, and not for later."""
        self._look = asyncio.get_running_loop().create_task(self._examine())  # owner: self._look
        return self._look

    async def report(self) -> Checkup:
        """The last look, or a new one when that is older than a second. Over within two seconds, never fails."""
        look, now = self._look, asyncio.get_running_loop().time()
        if look is None or (look.done() and now - self._began > FRESH_SECONDS):
            self._began = now
            look = self.begin()
        return await asyncio.shield(look)

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
            looking = group.create_task(self._consumers())
            trying = group.create_task(self._try_redis())
            fault = group.create_task(self._fault())
        consumers, (redis, reasons) = looking.result(), trying.result()
        if consumers is None:
            why = fault.result()
            said = str(why) if isinstance(why, ConfigurationError) else "PostgreSQL does not answer"
            return Checkup("unhealthy", "down", redis, [said, *reasons], [], [], {}, 0, [])
        status: Literal["healthy", "degraded", "unhealthy"] = "degraded" if reasons else "healthy"
        database: Database = "up"
        if isinstance(only_read := fault.result(), TakesNoWrites):
            status, database, reasons = "unhealthy", "read-only", [str(only_read), *reasons]
        queues, unnamed = self._depths.shown(), self._depths.unnamed
        nobodys = unserved(queues, {name for each in consumers for name in each.queues})
        if consumers:
            warnings = [*of_queues(nobodys, queues, unnamed), *of_kinds(self._kinds)]
        else:
            warnings = of_nobody_alive(queues, unnamed)
        return Checkup(status, database, redis, reasons, warnings, consumers, queues, unnamed, nobodys)

    async def _find_fault(self) -> SluiceError | None:
        """What keeps this process from its work: the store, the schema, or a right that was taken from our role."""
        try:
            await self._postgresql(self._check_schema())
        except (StoreUnavailable, ConfigurationError) as fault:
            return fault
        return None

    async def _consumers(self) -> Sequence[LiveConsumer] | None:
        """Those that are alive; None when PostgreSQL does not say. A count that takes too long is no outage."""
        try:
            consumers = await self._postgresql(self._counts.consumers())
        except (StoreUnavailable, ConfigurationError):
            return None
        with suppress(StoreUnavailable, ConfigurationError):
            await self._counting(self._count([QueueName(name) for each in consumers for name in each.queues]))
        return consumers

    async def _count(self, served: Sequence[QueueName]) -> None:
        await self._depths.look(served)
        await self._kinds.look(served)

    async def _try_redis(self) -> tuple[Redis, list[str]]:
        """What becomes of each command that we need of Redis. One that is refused is done by the rows, slower."""
        if self._ready is None or self._signals is None:
            return "disabled", []
        state: Redis = "up"
        reasons: list[str] = []
        for attempt, instead in (
            (self._ready.try_pushing, "consumers find tasks by scanning the rows"),
            (self._ready.try_popping, "consumers find tasks by scanning the rows"),
            (self._signals.try_telling, "a cancel reaches its handler by comparing with the rows"),
        ):
            try:
                await self._redis_timeout(attempt())
            except CommandRefused as refused:
                state = "refusing"
                reasons.append(f"Redis: {refused.reason}; {instead}")
            except StoreUnavailable as away:
                state = "down"
                reasons.append(f"Redis does not answer ({away.reason}); {instead}")
                break
        return state, reasons
