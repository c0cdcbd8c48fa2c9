"""What one simulated process has in the place of consumer/stores.py: the stores behind ports that may fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, cast

from redis.asyncio import Redis

from sluice.consumer.stores import HOT_CONNECTIONS, answer_timeout
from sluice.core.errors import OutcomeUnknown, StoreUnavailable
from sluice.core.events import Report
from sluice.core.outcome import Completion
from sluice.db.broker import BLOCK_SECONDS, COMMAND_SECONDS, Broker
from sluice.db.keys import Keys
from sluice.db.publisher import Publisher
from sluice.db.ready import ReadyLists
from sluice.db.roster import Roster
from sluice.db.signals import Signals
from tests.simulation.ports import Act, Call, Pool, Proxy, Server
from tests.simulation.redis import SimClient
from tests.simulation.redis_server import SimRedis
from tests.simulation.store import SimStore
from tests.simulation.store_transaction import SimTransaction

KEYS = Keys("sim")
POOL_SECONDS = 5.0
RESET_SECONDS = 30.0
"""A silent connection is given up by the kernels in between, sooner or later."""
_POSTGRESQL = "PostgreSQL"


def unknown(reason: str) -> Exception:
    """As db.session says it."""
    return OutcomeUnknown(_POSTGRESQL, reason)


def reset(reason: str) -> Exception:
    """As a driver says it."""
    return ConnectionResetError(reason)


class Door:
    """One way of a process to a server: who asks, on how many connections, how patiently."""

    def __init__(self, server: Server, who: str, *, pool: Pool, limit: float) -> None:
        self._server = server
        self._who = who
        self._pool = pool
        self.limit = limit

    async def ask(self, name: str, args: Any, act: Act) -> Any:
        """One statement."""
        call = Call(self._who, name, args, act, unknown)
        return await self._pool.within(self._server.ask(call, self.limit))


def door(server: Server, who: str, *, size: int, limit: float, wait: float = POOL_SECONDS) -> Door:
    """With a pool of its own."""
    return Door(server, who, pool=Pool(size, wait, partial(StoreUnavailable, _POSTGRESQL)), limit=limit)


class WatchedRedis(SimRedis):
    """Remembers which ids were ever pushed, for the sake of one ablation. `heard` is told of each message."""

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        super().__init__()
        self._heard = heard
        self.pushed: set[bytes] = set()

    def push(self, key: str, entries: Sequence[bytes], *, left: bool) -> int:
        self.pushed.update(entries)
        return super().push(key, entries, left=left)

    def publish(self, channel: str, data: bytes) -> int:
        self._heard(data)
        return super().publish(channel, data)


class RedisClient(SimClient):
    """A client whose calls in flight end when its connections are cut; it is its own pool, of no connections."""

    _available_connections = _in_use_connections = ()

    def __init__(self, server: SimRedis, network: Server, who: str, limit: float | None) -> None:
        super().__init__(server, self._through)
        self._network = network
        self._who = who
        self._limit = limit

    async def _through(self, name: str, act: Act) -> Any:
        return await self._network.ask(Call(self._who, name, None, act, reset), self._limit)

    async def disconnect(self, **options: bool) -> None:
        self._network.cut(self._who)
        await super().disconnect(**options)


class RedisClients(Broker):
    """The three clients of one process, with the limits of the real ones."""

    def __init__(self, server: SimRedis, network: Server, who: str) -> None:
        self.commands, self.blocking, self.messages = (
            cast(Redis, RedisClient(server, network, f"{who}.{name}", limit))
            for name, limit in (
                ("commands", COMMAND_SECONDS),
                ("blocking", BLOCK_SECONDS + 1.0),
                ("messages", 5.0),
            )
        )


class OwnTransaction:
    """consumer.transaction.Transaction's place: SimTransaction behind a port, on a connection of a bounded pool."""

    def __init__(self, links: Links, limit: float) -> None:
        self.inner = SimTransaction(links.store.tables, self._through)
        self._links = links
        self._limit = min(limit + 1.0, RESET_SECONDS)
        self._done: Completion | None = None
        self._connected = False

    @property
    def used(self) -> bool:
        return self.inner.used

    @property
    def flushed(self) -> bool:
        return self.inner.flushed

    @property
    def committing(self) -> bool:
        return self.inner.committing

    async def open(self) -> Any:
        if not self._connected and not self.inner.used:
            await self._links.handler_connections.acquire()
            self._connected = True
            self._links.transactions.append(self)
        return await self.inner.open()

    async def complete(self, done: Completion) -> bool:
        self._done = done
        return await self.inner.complete(done)

    async def abandon(self) -> None:
        await self.inner.abandon()
        if self._connected:
            self._connected = False
            self._links.handler_connections.release()

    async def _through(self, name: str, act: Act) -> Any:
        """What db.session would say in its own words the driver says here in its own."""
        call = Call(self._links.who, name, self._done, act, reset)
        try:
            return await self._links.postgresql.ask(call, self._limit)
        except (StoreUnavailable, OSError) as away:
            if name == "commit" and self._done is not None:
                self._links.lost_commit(self._done)
            raise ConnectionResetError(str(away)) from away


class Links:
    """The stores of one process, named as in consumer/stores.py."""

    def __init__(
        self,
        who: str,
        store: SimStore,
        postgresql: Server,
        redis: tuple[SimRedis, Server] | None,
        *,
        lease: timedelta,
        handler_pool: Any,
        report: Report,
        lost_commit: Callable[[Completion], None],
    ) -> None:
        self.who = who
        self.lost_commit = lost_commit
        self.store = store
        self.postgresql = postgresql
        self.handler_connections = handler_pool
        self.transactions: list[OwnTransaction] = []
        self._lease = lease
        hot = self.hot = door(
            postgresql, who, size=HOT_CONNECTIONS, limit=answer_timeout(lease).total_seconds()
        )
        self.claims: Any = Proxy(store.claims, hot.ask)
        self.consumers: Any = Proxy(store.consumers, hot.ask)
        self.upkeep: Any = Proxy(store.upkeep, hot.ask)
        self.handler_engine: Any = self
        self.ready: ReadyLists | None = None
        self.signals: Signals | None = None
        if redis is not None:
            broker = RedisClients(*redis, who)
            self.ready, self.signals = ReadyLists(broker, KEYS, report), Signals(broker, KEYS)
        self.roster = Roster(self.consumers)
        self.publisher = Publisher(self.ready, self.roster, report=report)

    @asynccontextmanager
    async def open_beats(self) -> AsyncIterator[Any]:
        """The beat's own connection."""
        third = self._lease.total_seconds() / 3
        yield Proxy(
            self.store.consumers,
            door(self.postgresql, f"{self.who}.beat", size=1, limit=third, wait=third).ask,
        )

    def transaction(self, _: Any, limit: float, __: float) -> OwnTransaction:
        """As assembly's Machine makes them."""
        return OwnTransaction(self, limit)

    def roll_back(self, *, commits: bool) -> None:
        """What is open is rolled back: the client died, or the server, which takes `commits` on their way with it."""
        for transaction in self.transactions:
            if commits or not transaction.inner._committing:
                transaction.inner.backend.roll_back()
