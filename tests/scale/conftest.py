"""One crowded database for all of these tests, whose statistics are wrong first and right later."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.scale.crowding import Crowd, crowded


@pytest.fixture(scope="module")
async def made(servers: Any) -> AsyncIterator[Crowd]:
    """The database as it was filled: PostgreSQL believes that it is empty."""
    async with crowded(servers.database_url) as crowd:
        yield crowd


@pytest.fixture(scope="module", params=["statistics of an empty table", "analyzed"])
async def crowd(made: Crowd, request: pytest.FixtureRequest) -> Crowd:
    """The same before and after autovacuum has come by."""
    if request.param == "analyzed":
        await made.connection.execute("VACUUM (ANALYZE) tasks")
    return made
