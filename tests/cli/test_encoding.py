"""A database whose encoding cannot hold what the API accepts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from sluice.cli.embedded import Urls
from sluice.core.errors import ConfigurationError
from tests.cli.migrating import check
from tests.cli.support import Command
from tests.support.databases import connected, named


@pytest.fixture(params=["LATIN1", "EUC_JP", "SQL_ASCII"])
async def narrow(request: pytest.FixtureRequest, servers: Urls) -> AsyncIterator[tuple[str, str]]:
    """An encoding, and the URL of a database of it."""
    name = f"narrow_{uuid4().hex}"
    async with connected(servers.database_url) as admin:
        await admin.execute(
            f"CREATE DATABASE {name} ENCODING '{request.param}' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
        )
        yield request.param, named(servers.database_url, name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_it_is_refused_in_one_line_before_anything_is_made(
    sluice: Command, narrow: tuple[str, str]
) -> None:
    encoding, url = narrow
    told = f"the database's encoding is {encoding}, .* create one with ENCODING 'UTF8' .* set DATABASE_URL"
    result = await sluice("migrate", DATABASE_URL=url)
    assert (result.status, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)
    with pytest.raises(ConfigurationError, match=told):
        await check(url)
    async with connected(url) as connection:
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
