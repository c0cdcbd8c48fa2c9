"""Connections that PostgreSQL ends while they are idle: whoever comes next is answered as if nothing had been."""

from __future__ import annotations

import pytest

from sluice.cli.embedded import Urls
from tests.api.support import serving, settings
from tests.support.databases import set_for_new_sessions
from tests.support.eventually import eventually
from tests.support.stores import Stores


async def backends(stores: Stores) -> set[int]:
    """The server's processes that serve an API on this database."""
    rows = await stores.raw.fetch(
        "SELECT pid FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name LIKE 'sluice/api%'"
    )
    return {row["pid"] for row in rows}


@pytest.mark.parametrize("path", ["/tasks", "/tasks?status=completed", "/readyz", "/tasks/{id}", "/health"])
async def test_what_reads_takes_no_connection_that_the_server_has_ended(
    stores: Stores, urls: Urls, redis_prefix: str, path: str
) -> None:
    others = await backends(stores)
    async with (
        set_for_new_sessions(urls.database_url, "idle_session_timeout", "1s"),
        serving(settings(urls, redis_prefix)) as client,
    ):
        place = (await client.post("/tasks", json={"message": "x"})).headers["location"]
        path = path.replace("/tasks/{id}", place)

        async def answered_after_a_rest() -> bool:
            """It may ask before it has heard of an end: then once more, after another rest."""
            await client.get(path)
            known = await backends(stores) - others
            await eventually(lambda: _gone(stores, known))
            return (await client.get(path)).status_code == 200

        await eventually(answered_after_a_rest, timeout=15)


async def _gone(stores: Stores, known: set[int]) -> bool:
    return not known & await backends(stores)
