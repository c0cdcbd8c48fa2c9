"""The API of one test, with a gauge."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sluice.cli.embedded import Urls
from tests.bounded.processes import ApiProcess, api_process


@pytest.fixture
async def api(urls: Urls, redis_prefix: str, tmp_path: Path) -> AsyncIterator[ApiProcess]:
    """An API process on the same stores."""
    async with api_process(urls, redis_prefix, tmp_path) as api:
        yield api
