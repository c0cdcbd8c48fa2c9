"""The stores, the API and the consumers of one test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from cli.embedded import Urls
from tests.api.support import serving, settings
from tests.support.consuming import Consumers, consumers_of
from tests.support.stores import Stores, open_stores


@pytest.fixture
async def stores(urls: Urls, redis_prefix: str) -> AsyncIterator[Stores]:
    """Every store, on an empty database and an empty prefix."""
    async with open_stores(urls, redis_prefix) as opened:
        yield opened


@pytest.fixture
async def client(urls: Urls, redis_prefix: str) -> AsyncIterator[httpx2.AsyncClient]:
    """An API on the same stores."""
    async with serving(settings(urls, redis_prefix)) as client:
        yield client


@pytest.fixture
async def consumers(urls: Urls, redis_prefix: str, tmp_path: Path) -> AsyncIterator[Consumers]:
    """Consumers on the same stores."""
    async with consumers_of(urls, redis_prefix, tmp_path) as them:
        yield them
