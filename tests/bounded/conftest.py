"""The stores, the API and the consumers of one test, each consumer with a gauge."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.embedded import Urls
from tests.bounded.processes import ApiProcess, api_process
from tests.support.stores import Stores, open_stores


@pytest.fixture
async def stores(urls: Urls, redis_prefix: str) -> AsyncIterator[Stores]:
    """Every store, on an empty database and an empty prefix."""
    async with open_stores(urls, redis_prefix) as opened:
        yield opened


@pytest.fixture
async def api(urls: Urls, redis_prefix: str, tmp_path: Path) -> AsyncIterator[ApiProcess]:
    """An API process on the same stores."""
    async with api_process(urls, redis_prefix, tmp_path) as api:
        yield api
