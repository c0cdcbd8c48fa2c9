"""ctx.session() when answers are lost, connections are scarce and handlers do what they should not (R6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from consumer import Context
from core.events import Fenced, StepFailed
from core.ids import new_consumer_id
from core.task import Kind, Status
from db.claims import Return
from tests.support.effects import effects, write
from tests.support.eventually import eventually
from tests.support.proxy import proxied
from tests.support.stores import Stores, new
from tests.support.workbench import KIND, workbench

pytestmark = pytest.mark.usefixtures("effects_table")


async def _writes(ctx: Context, payload: dict[str, Any]) -> str:
    await write(await ctx.session(), f"token {ctx.fencing_token}")
    return "done"


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
    async with proxied(database_url) as proxy, workbench(stores, proxy.url, _writes) as bench:
        proxy.on_sent = _at_commit(proxy.lose_answers)
        claim = await bench.start()
        await eventually(lambda: _status(stores, claim.id, Status.COMPLETED))
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
    async with proxied(database_url) as proxy, workbench(stores, proxy.url, _writes) as bench:
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

    async with workbench(stores, database_url, _writes) as bench:

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
    async with proxied(database_url) as proxy, workbench(stores, proxy.url, _writes) as bench:
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


async def _status(stores: Stores, task_id: Any, status: Status) -> bool:
    return (await stores.get(task_id)).status is status


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
    async with workbench(stores, database_url, _writes, pool_size=2) as bench:
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
        await eventually(lambda: _status(stores, waiting.id, Status.PENDING))
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


async def test_the_completion_is_timed_by_its_statement_not_by_its_transaction(
    stores: Stores, database_url: str
) -> None:
    async def takes_a_while(ctx: Context, payload: dict[str, Any]) -> None:
        await (await ctx.session()).execute(text("SELECT pg_sleep(0.2)"))

    async with workbench(stores, database_url, takes_a_while) as bench:
        row = await bench.run()
    assert row.finished_at is not None
    assert row.started_at is not None
    assert row.finished_at - row.started_at >= timedelta(seconds=0.2)


async def test_limits_of_the_handlers_transaction_follow_its_timeout_and_tighten_at_its_end(
    stores: Stores, database_url: str
) -> None:
    await stores.raw.execute(
        "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO effects VALUES (current_setting('idle_in_transaction_session_timeout')); "
        "RETURN NULL; END $$"
    )
    await stores.raw.execute(
        "CREATE TRIGGER tell AFTER UPDATE ON tasks FOR EACH ROW "
        "WHEN (new.status = 'completed') EXECUTE FUNCTION tell()"
    )

    async def looks(ctx: Context, payload: dict[str, Any]) -> list[str]:
        session = await ctx.session()
        await session.rollback()
        names = ("statement_timeout", "idle_in_transaction_session_timeout")
        return [str(await session.scalar(text(f"SHOW {name}"))) for name in names]

    try:
        async with workbench(stores, database_url, looks) as bench:
            row = await bench.run(timeout=120.0)
    finally:
        await stores.raw.execute("DROP FUNCTION tell CASCADE")
    assert row.result == ["121s", "121s"]
    assert await effects(stores) == ["1s"]


async def test_a_completion_that_waits_for_a_lock_is_ended_with_its_transaction(
    stores: Stores, database_url: str
) -> None:
    """Somebody locks the row past the timeouts: the effect is rolled back, the try given back uncharged."""
    started, may_end = asyncio.Event(), asyncio.Event()

    async def writes(ctx: Context, payload: dict[str, Any]) -> None:
        await write(await ctx.session(), "never")
        started.set()
        await may_end.wait()

    async with workbench(stores, database_url, writes, lock=timedelta(milliseconds=50)) as bench:
        claim = await bench.start()
        await started.wait()
        async with stores.raw.transaction():
            await stores.raw.execute("SELECT FROM tasks WHERE id = $1 FOR UPDATE", claim.id)
            may_end.set()
            await eventually(lambda: bench.complete.waiting == 1)
        await bench.ended()
    row = await stores.get(claim.id)
    assert (row.status, row.attempt) == (Status.PENDING, 0)
    assert await effects(stores) == []


@pytest.mark.parametrize(
    "held_up", [b"synchronous_commit", b"set_config($1"], ids=["connection", "transaction"]
)
async def test_a_stop_while_the_session_opens_loses_no_connection(
    stores: Stores, database_url: str, held_up: bytes
) -> None:
    """The server does not answer the first statement of either; the task's time is over meanwhile."""

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
