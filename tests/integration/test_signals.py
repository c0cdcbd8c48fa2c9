"""Messages over pub/sub: a cancel names its run, and what is none is passed over (S1 entries, S3 cancels)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from sluice.cli.embedded import Urls
from sluice.core.errors import StoreUnavailable
from sluice.core.task import RunKey
from tests.support.eventually import eventually
from tests.support.proxy import proxied
from tests.support.stores import Stores, new, open_stores

Heard = list[RunKey]
NEITHER = (
    b"",
    b"\xff",
    b"x",
    b"nan",
    b"-1",
    b"1e9",
    b"inf",
    b"1 2",
    b"0197f000-0000-7000-8000-000000000000",
    b"0197f000-0000-7000-8000-000000000000 x",
    b"x" * 100_000,
)


@asynccontextmanager
async def _listening(stores: Stores) -> AsyncIterator[Heard]:
    heard: Heard = []

    async def listen() -> None:
        async with aclosing(stores.signals.listen()) as messages:  # type: ignore[type-var]
            async for message in messages:
                if message is not None:
                    heard.append(message)

    async with asyncio.TaskGroup() as group:
        listening = group.create_task(listen())
        await eventually(lambda: _subscribed(stores))
        yield heard
        listening.cancel()


async def _subscribed(stores: Stores) -> bool:
    counts = await stores.redis("PUBSUB", "NUMSUB", stores.keys.cancels)
    return all(counts.values() if isinstance(counts, dict) else counts[1::2])


async def test_a_cancel_names_the_run_that_it_means(stores: Stores) -> None:
    [claim] = await stores.claimed(new())
    async with _listening(stores) as heard:
        canceled, _ = await stores.tasks.cancel(claim.id)
        await stores.signals.tell_canceled(canceled)
        await eventually(lambda: heard == [claim.key])


async def test_what_is_no_message_of_ours_is_passed_over(stores: Stores) -> None:
    [claim] = await stores.claimed(new())
    async with _listening(stores) as heard:
        for data in NEITHER:
            await stores.redis("PUBLISH", stores.keys.cancels, data)
        await stores.signals.try_telling()
        canceled, _ = await stores.tasks.cancel(claim.id)
        await stores.signals.tell_canceled(canceled)
        await eventually(lambda: heard)
        assert heard == [claim.key]


async def test_a_try_listens_and_leaves_nobody_listening(stores: Stores) -> None:
    for _ in range(3):
        await stores.signals.try_telling()

    async def nobody() -> bool:
        return not await _subscribed(stores)

    await eventually(nobody)


async def test_a_connection_that_is_cut_ends_the_listening(urls: Urls, redis_prefix: str) -> None:
    async with proxied(urls.redis_url) as proxy:
        through = Urls(database_url=urls.database_url, redis_url=proxy.url)
        async with open_stores(through, redis_prefix) as stores:

            async def listen() -> None:
                async for _ in stores.signals.listen():
                    pass

            listening = asyncio.gather(listen(), return_exceptions=True)
            await eventually(lambda: _subscribed(stores))
            proxy.drop()
            [ended] = await listening
            assert isinstance(ended, StoreUnavailable)
