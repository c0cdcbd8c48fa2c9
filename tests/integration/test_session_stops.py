"""ctx.session() of a run that is stopped or held up, and the limits of its transaction (R6 session)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from sluice import Context
from sluice.consumer.runs.running import Stop
from sluice.core.events import StepFailed
from sluice.core.task import Status
from tests.support.effects import effects, write
from tests.support.eventually import eventually
from tests.support.stores import Stores
from tests.support.workbench import workbench

pytestmark = pytest.mark.usefixtures("effects_table")


@pytest.mark.parametrize("reason", list(Stop))
async def test_a_handler_that_is_stopped_leaves_no_effect_whatever_it_returns(
    stores: Stores, database_url: str, reason: Stop
) -> None:
    started = asyncio.Event()

    async def swallows(ctx: Context, payload: dict[str, Any]) -> str:
        await write(await ctx.session(), "never")
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "as if nothing had happened"
        return "unreachable"

    async with workbench(stores, database_url, swallows) as bench:
        claim = await bench.start()
        await started.wait()
        bench.running.stop(claim.key, reason)
        await bench.ended()
    row = await stores.get(claim.id)
    assert row.status is Status.PENDING
    assert (row.error or {}).get("type") == ("Timeout" if reason is Stop.TIMED_OUT else None)
    assert await effects(stores) == []


@pytest.mark.parametrize("reason", [Stop.TIMED_OUT, Stop.CANCELED])
@pytest.mark.parametrize("meanwhile", ["waits", "asks the server"])
async def test_a_handler_that_swallows_its_cancellation_loses_its_row_and_its_session_and_keeps_its_slot(
    stores: Stores, database_url: str, reason: Stop, meanwhile: str
) -> None:
    started, go, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def goes_on(ctx: Context, payload: dict[str, Any]) -> str:
        session = await ctx.session()
        await write(session, "never")
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if meanwhile == "asks the server":
                with suppress(Exception):  # the connection is taken away under it
                    await session.execute(text("SELECT pg_sleep(60)"))
            await go.wait()
        try:
            await write(session, "never")
        finally:
            ended.set()
        return "at last"

    async with workbench(stores, database_url, goes_on, pool_size=1) as bench:
        claim = await bench.start(timeout=5)  # its statements end a second later
        await started.wait()
        bench.running.stop(claim.key, reason)
        await bench.ended()
        row = await stores.get(claim.id)
        assert (row.status, row.attempt) == (Status.PENDING, 1 if reason is Stop.TIMED_OUT else 0)
        assert (row.error or {}).get("type") == ("Timeout" if reason is Stop.TIMED_OUT else None)
        assert bench.capacity.busy == 1
        go.set()
        await ended.wait()
        await eventually(lambda: bench.capacity.busy == 0)
        assert (await stores.get(claim.id)).fencing_token == row.fencing_token
    assert await effects(stores) == []
    assert [event for event in bench.events if isinstance(event, StepFailed)] == []


async def test_a_stop_in_the_middle_of_a_statement_frees_the_connection(
    stores: Stores, database_url: str
) -> None:
    async def sleeps_in_the_server(ctx: Context, payload: dict[str, Any]) -> None:
        session = await ctx.session()
        await write(session, "never")
        if ctx.message == "slow":
            await session.execute(text("SELECT pg_sleep(60)"))

    async with workbench(stores, database_url, sleeps_in_the_server, pool_size=1) as bench:
        row = await bench.run(message="slow", timeout=0.2)
        assert row.error is not None
        assert row.error["type"] == "Timeout"
        again = await bench.run(message="quick")
        assert again.status is Status.COMPLETED
    assert await effects(stores) == ["never"]


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
