"""ctx.session() asked for by many, twice, late or in a thread: connections are scarce, and none is lost (R6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from sluice import Context
from sluice.core.task import Status
from tests.integration.writing import status, writes
from tests.support.effects import effects, write
from tests.support.eventually import eventually
from tests.support.proxy import proxied
from tests.support.stores import Stores, new
from tests.support.workbench import KIND, workbench

pytestmark = pytest.mark.usefixtures("effects_table")


async def test_a_handler_that_asks_for_no_session_holds_no_connection(
    stores: Stores, database_url: str
) -> None:
    started, may_end = asyncio.Event(), asyncio.Event()

    async def waits(ctx: Context, payload: dict[str, Any]) -> None:
        started.set()
        await may_end.wait()

    async with workbench(stores, database_url, waits) as bench:
        await bench.start()
        await started.wait()
        assert await _handler_connections(stores) == 0
        may_end.set()
        await bench.ended()
        assert await _handler_connections(stores) == 0


async def _handler_connections(stores: Stores) -> int:
    return int(
        await stores.raw.fetchval(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'sluice/handler'"
        )
    )


async def test_more_handlers_than_connections_wait_for_one_another(stores: Stores, database_url: str) -> None:
    async with workbench(stores, database_url, writes, pool_size=2) as bench:
        claims = await bench.start_all(*(new(KIND) for _ in range(20)))
        await bench.ended()
        assert await _handler_connections(stores) <= 2
    assert [(await stores.get(claim.id)).status for claim in claims] == [Status.COMPLETED] * 20
    assert len(await effects(stores)) == 20


async def test_waiting_for_a_connection_ends_with_the_tasks_timeout_and_loses_none(
    stores: Stores, database_url: str
) -> None:
    has_it, may_end = asyncio.Event(), asyncio.Event()

    async def holds_it(ctx: Context, payload: dict[str, Any]) -> None:
        await ctx.session()
        if ctx.message == "holder":
            has_it.set()
            await may_end.wait()

    async with workbench(stores, database_url, holds_it, pool_size=1) as bench:
        holder = await bench.start(message="holder")
        await has_it.wait()
        waiting = await bench.start(timeout=0.3)
        await eventually(lambda: status(stores, waiting.id, Status.PENDING))
        row = await stores.get(waiting.id)
        assert row.error is not None
        assert row.error["type"] == "Timeout"
        may_end.set()
        await bench.ended()
        assert (await stores.get(holder.id)).status is Status.COMPLETED
        assert (await bench.run()).status is Status.COMPLETED, "the one connection is free again"


async def test_all_parts_of_a_handler_get_the_same_session(stores: Stores, database_url: str) -> None:
    sessions: list[AsyncSession] = []

    async def asks_twice_at_once(ctx: Context, payload: dict[str, Any]) -> None:
        async with asyncio.TaskGroup() as group:
            first, second = (group.create_task(ctx.session()) for _ in range(2))
        sessions.extend((first.result(), second.result()))
        await write(sessions[0], "first")
        await write(sessions[1], "second")

    async with workbench(stores, database_url, asks_twice_at_once, pool_size=2) as bench:
        assert (await bench.run()).status is Status.COMPLETED
    assert sessions[0] is sessions[1]
    assert await effects(stores) == ["first", "second"]


async def test_a_session_asked_for_after_the_run_is_refused(stores: Stores, database_url: str) -> None:
    kept: list[Context] = []

    async def keeps(ctx: Context, payload: dict[str, Any]) -> None:
        await ctx.session()
        kept.append(ctx)

    async with workbench(stores, database_url, keeps) as bench:
        assert (await bench.run()).status is Status.COMPLETED
        with pytest.raises(RuntimeError, match="this run has ended"):
            await kept[0].session()


def in_a_thread(ctx: Context, payload: dict[str, Any]) -> None:
    asyncio.run(ctx.session())


async def test_a_handler_in_a_thread_has_no_session(stores: Stores, database_url: str) -> None:
    async with workbench(stores, database_url, in_a_thread) as bench:
        row = await bench.run()
    assert row.error is not None
    assert row.error["message"] == "ctx.session() is for `async def` handlers only"


@pytest.mark.parametrize(
    "held_up",
    [b"synchronous_commit", b"UNLISTEN", b"set_config('statement_timeout', $1"],
    ids=["connection", "leftovers", "transaction"],
)
async def test_a_stop_while_the_session_opens_loses_no_connection(
    stores: Stores, database_url: str, held_up: bytes
) -> None:
    """The server does not answer the first statement of each; the task's time is over meanwhile."""

    kept: list[Context] = []  # so that no garbage collector comes to the rescue

    async def opens(ctx: Context, payload: dict[str, Any]) -> None:
        kept.append(ctx)
        await ctx.session()

    async with proxied(database_url) as proxy, workbench(stores, proxy.url, opens, pool_size=1) as bench:
        proxy.on_sent = lambda data: proxy.lose_answers() if held_up in data else None
        claim = await bench.start(timeout=0.2)
        await eventually(lambda: bench.running.runs() == [] or next(iter(bench.running.runs())).stopping)
        proxy.on_sent = lambda _: None
        proxy.resume()
        await bench.ended()
        assert ((await stores.get(claim.id)).error or {})["type"] == "Timeout"
        assert (await bench.run()).status is Status.COMPLETED, "the one connection is free again"
        assert bench.engine.pool.checkedout() == 0  # type: ignore[attr-defined] # a QueuePool
