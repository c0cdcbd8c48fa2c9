"""An idle consumer asks little: as many statements and commands as its periods say, and no more."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from sluice.cli.embedded import Urls
from tests.support.consuming import consumers_of
from tests.support.proxy import proxied
from tests.support.stores import Stores

SECONDS = 6.0
STATEMENTS = 10.0
"""A second. Promote, the roster and a scan look each second, the lease beats every 7.5: about five, in two messages."""
COMMANDS = 6.0
"""A second: a waiting pop, and few others."""


async def test_an_idle_consumer_asks_little(stores: Stores, urls: Urls, tmp_path: Path) -> None:
    sent = {"postgresql": 0, "redis": 0}

    def count(which: str) -> None:
        sent[which] += 1

    async with proxied(urls.database_url) as postgresql, proxied(urls.redis_url) as redis:
        through = Urls(database_url=postgresql.url, redis_url=redis.url)
        async with consumers_of(through, stores.keys.prefix, tmp_path) as consumers:
            consumer = await consumers.start(LOG_LEVEL="debug")
            await asyncio.sleep(2)  # what it asks once has been asked
            postgresql.on_sent = lambda _: count("postgresql")
            redis.on_sent = lambda _: count("redis")
            began = time.monotonic()
            await asyncio.sleep(SECONDS)
            passed = time.monotonic() - began
            rates = {which: n / passed for which, n in sent.items()}
            assert 0.5 < rates["postgresql"] <= STATEMENTS, rates
            assert 0.5 < rates["redis"] <= COMMANDS, rates
            assert consumer.events("store.lost") == []
