"""The API of a test: one for all that need no empty tables, one of its own for the others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import httpx2
import pytest

from sluice.cli.embedded import Urls
from sluice.core.task import DEFAULT_QUEUE
from tests.api.support import serving, settings
from tests.support.stores import Stores


@pytest.fixture(scope="session")
async def shared(own_database: str, redis_url: str, worker_id: str) -> AsyncIterator[httpx2.AsyncClient]:
    """An API that takes every kind, for tests that look only at what they sent."""
    urls = Urls(database_url=own_database, redis_url=redis_url)
    async with serving(settings(urls, f"{worker_id}-{uuid4().hex[:12]}", unknown_kinds="accept")) as client:
        yield client


@pytest.fixture
async def served(stores: Stores) -> None:
    """A consumer is alive before the API is: to be asked for before `client`."""
    await stores.consumer(queues=[DEFAULT_QUEUE], lease=timedelta(minutes=10))


@pytest.fixture
async def client(urls: Urls, redis_prefix: str) -> AsyncIterator[httpx2.AsyncClient]:
    """An API of the test's own, on empty tables."""
    async with serving(settings(urls, redis_prefix)) as client:
        yield client


@pytest.fixture
def own(urls: Urls, redis_prefix: str) -> dict[str, str]:
    """Settings that keep one test apart from others."""
    return {"REDIS_PREFIX": redis_prefix}
