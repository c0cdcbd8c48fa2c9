"""ctx.session() when answers are lost and connections die (R6 session)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from sluice import Context
from sluice.core.events import Fenced, StepFailed
from sluice.core.ids import new_consumer_id
from sluice.core.outcome import Return
from sluice.core.task import Kind, Status
from tests.integration.writing import status, writes
from tests.support.effects import effects, write
from tests.support.eventually import eventually
from tests.support.proxy import proxied
from tests.support.stores import Stores, new
from tests.support.workbench import KIND, workbench

pytestmark = pytest.mark.usefixtures("effects_table")


def _at_commit(act: Callable[[], None]) -> Callable[[bytes], None]:
    """Do it once, when a client sends COMMIT."""
    done = False

    def look(data: bytes) -> None:
        nonlocal done
        if not done and b"COMMIT;" in data:
            done = True
            act()

    return look


async def test_a_commit_whose_answer_is_lost_took_effect_once(stores: Stores, database_url: str) -> None:
    """The give back finds the token gone: nothing runs again."""
    async with proxied(database_url) as proxy, workbench(stores, proxy.url, writes) as bench:
        proxy.on_sent = _at_commit(proxy.lose_answers)
        claim = await bench.start()
        await eventually(lambda: status(stores, claim.id, Status.COMPLETED))
        assert len(bench.running) == 1, "it has not heard of it"
        proxy.drop()
        await bench.ended()
    row = await stores.get(claim.id)
    assert (row.status, row.result, row.fencing_token) == (Status.COMPLETED, "done", claim.token + 1)
    assert await effects(stores) == [f"token {claim.token}"]


async def test_a_connection_that_died_while_nobody_used_it_fails_no_handler(
    stores: Stores, database_url: str
) -> None:
    """After a restart of PostgreSQL each pooled connection would cost some task a try."""
    async with proxied(database_url) as proxy, workbench(stores, proxy.url, writes) as bench:
        idle: list[Any] = []
        event.listen(
            bench.engine.sync_engine, "checkin", lambda _, record: idle.append(record.driver_connection)
        )
        assert (await bench.run()).status is Status.COMPLETED
        proxy.drop()
        await eventually(idle[0].is_closed)
        row = await bench.run()
    assert (row.status, row.attempt, row.error) == (Status.COMPLETED, 1, None)


async def test_a_connection_that_cannot_be_given_back_harms_nobody(
    stores: Stores, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its try ends as it did, whatever the driver says while it parts with the connection."""
    close = AsyncConnection.close

    async with workbench(stores, database_url, writes) as bench:

        async def refuse(connection: AsyncConnection) -> None:
            await close(connection)
            if connection.engine is bench.engine:
                raise OSError("gone")

        with monkeypatch.context() as patched:
            patched.setattr(AsyncConnection, "close", refuse)
            row = await bench.run()
        assert row.status is Status.COMPLETED
        assert not [told for told in bench.events if isinstance(told, StepFailed | Fenced)]


async def test_a_commit_that_never_arrived_took_no_effect_and_the_try_is_not_charged(
    stores: Stores, database_url: str
) -> None:
    async with proxied(database_url) as proxy, workbench(stores, proxy.url, writes) as bench:
        stuck = asyncio.Event()

        def hold() -> None:
            proxy.hang()
            stuck.set()

        proxy.on_sent = _at_commit(hold)
        claim = await bench.start()
        await stuck.wait()
        proxy.drop()
        proxy.resume()
        await bench.ended()
        row = await stores.get(claim.id)
        assert (row.status, row.attempt, row.error) == (Status.PENDING, 0, None)
        assert await effects(stores) == []
        [again] = await stores.claims.claim([claim.id], consumer=new_consumer_id(), kinds=[Kind(KIND)])
        bench.restart(again)
        await bench.ended()
    assert (await stores.get(claim.id)).status is Status.COMPLETED
    assert await effects(stores) == [f"token {again.token}"]


@pytest.mark.parametrize("commits", [True, False])
async def test_a_give_back_waits_for_a_commit_that_is_still_in_flight(stores: Stores, commits: bool) -> None:
    [claim] = await stores.claimed(new(KIND))
    transaction = stores.raw.transaction()
    await transaction.start()
    await stores.raw.execute(
        "UPDATE tasks SET status = 'completed', fencing_token = fencing_token + 1 WHERE id = $1", claim.id
    )
    giving_back = asyncio.gather(stores.claims.give_back([Return(claim.id, claim.token)]))
    await stores.waited_for()
    await (transaction.commit() if commits else transaction.rollback())
    [written] = await giving_back
    assert written.rows == (0 if commits else 1)
    assert (await stores.get(claim.id)).status is (Status.COMPLETED if commits else Status.PENDING)


async def test_a_connection_that_dies_in_the_handler_costs_one_try(stores: Stores, database_url: str) -> None:
    async def is_cut_off(ctx: Context, payload: dict[str, Any]) -> None:
        session = await ctx.session()
        await write(session, f"try {ctx.attempt}")
        if ctx.attempt == 1:
            await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    async with workbench(stores, database_url, is_cut_off, pool_size=1) as bench:
        row = await bench.run()
        assert (row.status, row.attempt) == (Status.PENDING, 1)
        await stores.raw.execute("UPDATE tasks SET run_at = now()")
        bench.restart(*await stores.claims.claim([row.id], consumer=new_consumer_id(), kinds=[Kind(KIND)]))
        await bench.ended()
    assert (await stores.get(row.id)).status is Status.COMPLETED
    assert await effects(stores) == ["try 2"]
