"""ctx.session() when PostgreSQL falls silent: our own statements in it have a time of their own (R6, L3)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sluice import Context
from sluice.consumer.runs import transaction
from sluice.consumer.runs.running import Stop
from sluice.core.task import Status
from tests.support.effects import effects, write
from tests.support.eventually import eventually
from tests.support.proxy import proxied
from tests.support.stores import Stores
from tests.support.workbench import workbench

pytestmark = pytest.mark.usefixtures("effects_table")


async def test_a_run_that_is_stopped_in_a_silence_is_gone_before_its_rollback_has_an_answer(
    stores: Stores, database_url: str
) -> None:
    """Else the watch would take it for a handler that outlives the lease, and end the process (L3 trust)."""
    wrote = asyncio.Event()

    async def writes_and_waits(ctx: Context, payload: dict[str, Any]) -> None:
        await write(await ctx.session(), "never")
        wrote.set()
        await asyncio.Event().wait()

    async with proxied(database_url) as proxy, workbench(stores, proxy.url, writes_and_waits) as bench:
        bench.lease.margin = 0.2
        claim = await bench.start()
        await wrote.wait()
        proxy.hang()
        bench.running.stop(claim.key, Stop.LEASE)
        async with asyncio.timeout(2):
            await bench.running.idle()
        proxy.drop()
        await bench.ended()
    assert await effects(stores) == []


async def test_a_connection_whose_server_does_not_answer_is_replaced_before_the_handler_has_it(
    stores: Stores, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "_ANSWER_SECONDS", 0.3)

    async def writes(ctx: Context, payload: dict[str, Any]) -> None:
        await write(await ctx.session(), "once")

    async with proxied(database_url) as proxy, workbench(stores, proxy.url, writes) as bench:
        await bench.run()
        open_before = proxy.connections
        proxy.hang()
        claim = await bench.start()
        await eventually(lambda: proxy.connections > open_before, timeout=5)
        proxy.resume()
        await bench.ended()
        row = await stores.get(claim.id)
    assert (row.status, row.attempt, row.error) == (Status.COMPLETED, 1, None)
    assert await effects(stores) == ["once", "once"]


async def test_a_commit_without_an_answer_is_not_waited_for_for_ever(
    stores: Stores, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fenced give back then decides: here the commit had taken place."""
    monkeypatch.setattr(transaction, "_ANSWER_SECONDS", 0.5)

    async def writes(ctx: Context, payload: dict[str, Any]) -> None:
        await write(await ctx.session(), "once")

    async with proxied(database_url) as proxy, workbench(stores, proxy.url, writes) as bench:

        def look(data: bytes) -> None:
            if b"COMMIT;" in data:
                proxy.lose_answers()

        proxy.on_sent = look
        bench.lease.margin = 0.4
        claim = await bench.start()
        async with asyncio.timeout(10):
            await bench.ended()
        row = await stores.get(claim.id)
    assert (row.status, row.fencing_token) == (Status.COMPLETED, claim.token + 1)
    assert await effects(stores) == ["once"]
