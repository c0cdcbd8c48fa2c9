"""A PostgreSQL that may only be read, as a standby is: nothing is accepted, and every part says so in words."""

from __future__ import annotations

import signal
from datetime import timedelta

import httpx2
import pytest

from sluice.cli.embedded import Urls
from sluice.core.errors import StoreUnavailable
from sluice.db.session import make_engine
from sluice.db.start import await_postgresql
from tests.api.processes import START, ended, logged, start
from tests.api.support import serving, settings
from tests.support.consuming import Consumers
from tests.support.databases import set_for_new_sessions
from tests.support.eventually import eventually

SAID = "it takes no writes (a standby, or default_transaction_read_only is on)"


async def test_an_api_is_not_ready_and_says_why(urls: Urls, redis_prefix: str) -> None:
    async with (
        set_for_new_sessions(urls.database_url, "default_transaction_read_only", "on"),
        serving(settings(urls, redis_prefix)) as client,
    ):
        ready, health = await client.get("/readyz"), await client.get("/health")
        submitted = await eventually(lambda: _said_why(client))
        assert (await client.get("/tasks")).status_code == 200, "what can be read is read"

    assert ready.status_code == 503
    assert SAID in ready.json()["detail"]
    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
    assert health.json()["database"] == "read-only"
    assert submitted is not None
    assert submitted.status_code == 503
    assert int(submitted.headers["retry-after"]) >= 1


async def _said_why(client: httpx2.AsyncClient) -> httpx2.Response | None:
    """An answer that names the reason: the first may be that PostgreSQL took too long to give one."""
    submitted = await client.post("/tasks", json={"message": "x"})
    return submitted if submitted.json()["type"] == "urn:sluice:problem:read-only" else None


async def test_a_starting_api_waits_for_it_to_be_promoted(urls: Urls, redis_prefix: str) -> None:
    async with set_for_new_sessions(urls.database_url, "default_transaction_read_only", "on"):
        process = await start(urls, "--port", "0", REDIS_PREFIX=redis_prefix)
        said = await logged(process, "store.lost")
    await logged(process, "api.listening")
    process.send_signal(signal.SIGTERM)

    assert (said["store"], said["reason"]) == ("PostgreSQL", SAID)
    assert (await ended(process))[0] == 0


async def test_a_starting_consumer_does_so_too(consumers: Consumers, database_url: str) -> None:
    async with set_for_new_sessions(database_url, "default_transaction_read_only", "on"):
        consumer = await consumers.launch()
        await consumer.event("store.lost", within=START, doing="start", reason=SAID)
    await consumer.event("consumer.started", within=START)


async def test_a_start_that_waited_in_vain_says_what_to_do(database_url: str) -> None:
    engine = make_engine(database_url, role="test", pool_size=2)
    told: list[str] = []
    try:
        async with set_for_new_sessions(database_url, "default_transaction_read_only", "on"):
            with pytest.raises(StoreUnavailable) as raised:
                await await_postgresql(engine, start_timeout=timedelta(0), on_wait=told.append)
    finally:
        await engine.dispose()

    assert f"{SAID} (waited 0 s): promote it, or set DATABASE_URL" in str(raised.value)
