"""The ways in which a store goes away and comes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sluice.db.broker import Broker, ask
from tests.outages.conftest import Own
from tests.support.proxy import Proxy

PostgresqlGoes = Callable[[Own, Proxy], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to go and the way back."""

    name: str
    leave: PostgresqlGoes
    come_back: PostgresqlGoes

    def __str__(self) -> str:
        return self.name


async def _refuse(_: Own, proxy: Proxy) -> None:
    await proxy.close()


async def _listen(_: Own, proxy: Proxy) -> None:
    await proxy.open()


async def _hang(_: Own, proxy: Proxy) -> None:
    proxy.hang()


async def _resume(_: Own, proxy: Proxy) -> None:
    proxy.resume()


async def _cut(_: Own, proxy: Proxy) -> None:
    """What was under way is lost, as when another server takes the address over."""
    proxy.drop()
    proxy.resume()


async def _stop_postgresql(own: Own, _: Proxy) -> None:
    await own.servers.postgres.stop(now=True)


async def _start_postgresql(own: Own, _: Proxy) -> None:
    await own.servers.postgres.start()


async def _kill_redis(own: Own, _: Proxy) -> None:
    await own.servers.valkey.kill()


async def _restart_redis_empty(own: Own, _: Proxy) -> None:
    own.servers.valkey.forget()
    await own.servers.valkey.start()


async def _demote_redis(own: Own, _: Proxy) -> None:
    await _redis(own, "REPLICAOF", "127.0.0.1", "1")


async def _promote_redis(own: Own, _: Proxy) -> None:
    await _redis(own, "REPLICAOF", "NO", "ONE")


async def _redis(own: Own, *words: str) -> None:
    broker = Broker(own.urls.redis_url)
    await ask(broker.commands, *words)
    await broker.close()


REFUSES = Mode("refuses", _refuse, _listen)
SILENT = Mode("is silent", _hang, _resume)
SILENT_THEN_CUT = Mode("is silent, then cuts", _hang, _cut)
STOPPED = Mode("is stopped at once", _stop_postgresql, _start_postgresql)
KILLED = Mode("is killed and comes back empty", _kill_redis, _restart_redis_empty)
READONLY = Mode("takes no writes", _demote_redis, _promote_redis)

POSTGRESQL = (REFUSES, SILENT, SILENT_THEN_CUT, STOPPED)
REDIS = (REFUSES, SILENT, SILENT_THEN_CUT, KILLED, READONLY)
