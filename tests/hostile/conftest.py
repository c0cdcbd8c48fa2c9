"""The API of one test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from cli.embedded import Urls
from tests.api.support import serving, settings


@pytest.fixture
async def client(urls: Urls, redis_prefix: str) -> AsyncIterator[httpx2.AsyncClient]:
    """An API on the same stores."""
    async with serving(settings(urls, redis_prefix)) as client:
        yield client
