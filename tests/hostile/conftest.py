"""The API of one test, and the one of a whole module."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from sluice.cli.embedded import Urls
from tests.api.support import serving, settings
from tests.bounded.processes import ApiProcess, api_process


@pytest.fixture
async def client(urls: Urls, redis_prefix: str) -> AsyncIterator[httpx2.AsyncClient]:
    """An API on the same stores."""
    async with serving(settings(urls, redis_prefix)) as client:
        yield client


@pytest.fixture(scope="module")
async def api(
    own_database: str, redis_url: str, worker_id: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ApiProcess]:
    """One for all: the next test sees what the one before has left."""
    urls = Urls(database_url=own_database, redis_url=redis_url)
    directory: Path = tmp_path_factory.mktemp("api")
    async with api_process(urls, f"{worker_id}-{uuid4().hex[:12]}", directory) as api:
        yield api
