"""Servers that a test may kill, proxies before them, and the stores and consumers behind those."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from sluice.cli.embedded import Servers, Urls
from sluice.db.broker import Broker, ask
from tests.support.consuming import Consumers, consumers_of
from tests.support.databases import clear, migrated
from tests.support.effects import effects_table as make_effects_table
from tests.support.proxy import Proxy, proxied
from tests.support.stores import Stores, open_stores


@dataclass(frozen=True, slots=True)
class Own:
    """Servers of this test process alone, and an empty database there."""

    servers: Servers
    urls: Urls


async def _start(root: Path, *, postgres: bool = True) -> tuple[Servers, Urls]:
    root.mkdir()
    root.chmod(0o711)
    servers = Servers(root, ephemeral=True, postgres=postgres)
    return servers, await servers.__aenter__()


@pytest.fixture(scope="session")
async def own_servers(run_directory: Path, worker_id: str) -> AsyncIterator[Own]:
    """PostgreSQL and Valkey, started once in a test process."""
    servers, urls = await _start(run_directory / f"outages-{worker_id}")
    try:
        async with migrated(urls.database_url, "outages") as database_url:
            yield Own(servers, Urls(database_url=database_url, redis_url=urls.redis_url))
            await _all_run(servers)
    finally:
        await servers.__aexit__(None, None, None)


@pytest.fixture
async def own(own_servers: Own) -> Own:
    """Both up, with nothing in the database."""
    await _all_run(own_servers.servers)
    await clear(own_servers.urls.database_url)
    return own_servers


async def _all_run(servers: Servers) -> None:
    for server in servers.running:
        await server.start()
    broker = Broker(servers.valkey.url)
    await ask(broker.commands, "REPLICAOF", "NO", "ONE")
    await broker.close()


@pytest.fixture
async def other_valkey(run_directory: Path) -> AsyncIterator[str]:
    """The URL of a second Redis."""
    servers, urls = await _start(run_directory / f"valkey-{uuid4().hex[:8]}", postgres=False)
    yield urls.redis_url
    await servers.__aexit__(None, None, None)


def lead_to(proxy: Proxy, url: str) -> None:
    """New connections reach this server; those that are open stay where they are."""
    proxy._upstream = urlsplit(url)


@pytest.fixture
async def redis(own: Own) -> AsyncIterator[Proxy]:
    """What consumers take for Redis."""
    async with proxied(own.urls.redis_url) as proxy:
        yield proxy


@pytest.fixture
async def postgresql(own: Own) -> AsyncIterator[Proxy]:
    """What consumers take for PostgreSQL."""
    async with proxied(own.urls.database_url) as proxy:
        yield proxy


@pytest.fixture
async def stores(own: Own, redis_prefix: str) -> AsyncIterator[Stores]:
    """Every store as the test itself reaches it, beside the proxies."""
    async with open_stores(own.urls, redis_prefix) as opened:
        yield opened


@pytest.fixture
async def consumers(
    own: Own, redis: Proxy, postgresql: Proxy, redis_prefix: str, tmp_path: Path
) -> AsyncIterator[Consumers]:
    """Consumers that reach both stores through the proxies."""
    urls = Urls(database_url=postgresql.url, redis_url=redis.url)
    async with consumers_of(urls, redis_prefix, tmp_path) as them:
        yield them


@pytest.fixture
async def effects_table(stores: Stores) -> AsyncIterator[None]:
    """The table `effects`."""
    async with make_effects_table(stores):
        yield


@dataclass(frozen=True, slots=True)
class Everything:
    """All of the above."""

    own: Own
    redis: Proxy
    postgresql: Proxy
    stores: Stores
    consumers: Consumers


@pytest.fixture
async def everything(
    own: Own, redis: Proxy, postgresql: Proxy, stores: Stores, consumers: Consumers
) -> Everything:
    """For a test that needs all of it."""
    return Everything(own, redis, postgresql, stores, consumers)
