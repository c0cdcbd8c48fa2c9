"""ctx.session(): what a handler writes commits with its completion, or not at all (R6 session)."""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from typing import Any

import pytest

from sluice import Context, Snooze
from sluice.core.attempts import AttemptFailed
from sluice.core.events import Event, Fenced, StepFailed
from sluice.core.ids import new_consumer_id
from sluice.core.task import Kind, Status
from tests.support.effects import effects, write
from tests.support.eventually import eventually
from tests.support.stores import Stores
from tests.support.workbench import KIND, workbench

pytestmark = pytest.mark.usefixtures("effects_table")


async def _writes_and_returns(ctx: Context, payload: dict[str, Any]) -> int:
    await write(await ctx.session(), "written")
    return 7


async def test_the_effect_and_the_completion_are_one_transaction(stores: Stores, database_url: str) -> None:
    async with workbench(stores, database_url, _writes_and_returns) as bench:
        row = await bench.run()
    assert (row.status, row.result, row.fencing_token) == (Status.COMPLETED, 7, 2)
    assert await effects(stores) == ["written"]
    assert await stores.raw.fetchval(
        "SELECT effects.transaction = tasks.xmin::text FROM effects, tasks WHERE tasks.status = 'completed'"
    )


async def test_a_commit_inside_ends_a_savepoint_only(stores: Stores, database_url: str) -> None:
    may_go_on = asyncio.Event()

    async def commits_then_fails(ctx: Context, payload: dict[str, Any]) -> None:
        session = await ctx.session()
        await write(session, "committed inside")
        await session.commit()
        await may_go_on.wait()
        raise RuntimeError("after the commit")

    async with workbench(stores, database_url, commits_then_fails) as bench:
        await bench.start()
        await eventually(
            lambda: stores.raw.fetchval("SELECT count(*) FROM pg_locks WHERE relation = 'effects'::regclass")
        )
        assert await effects(stores) == [], "nobody sees it before the completion"
        may_go_on.set()
        await bench.ended()
    assert await effects(stores) == []


async def test_a_rollback_inside_takes_back_to_the_last_commit(stores: Stores, database_url: str) -> None:
    async def rolls_back(ctx: Context, payload: dict[str, Any]) -> None:
        session = await ctx.session()
        await write(session, "1 kept")
        await session.commit()
        await write(session, "2 taken back")
        await session.rollback()
        await write(session, "3 kept")
        assert await ctx.session() is session

    async with workbench(stores, database_url, rolls_back) as bench:
        row = await bench.run()
    assert row.status is Status.COMPLETED
    assert await effects(stores) == ["1 kept", "3 kept"]


async def test_leaving_the_session_or_closing_it_keeps_what_was_written(
    stores: Stores, database_url: str
) -> None:
    async def leaves_and_closes(ctx: Context, payload: dict[str, Any]) -> None:
        async with await ctx.session() as session:
            await write(session, "1 within the block")
        await write(session, "2 behind it")
        await session.close()
        await write(session, "3 after a close")
        async with session.begin_nested():
            await write(session, "4 in a savepoint")

    async with workbench(stores, database_url, leaves_and_closes) as bench:
        row = await bench.run()
    assert row.status is Status.COMPLETED
    assert await effects(stores) == [
        *("1 within the block", "2 behind it", "3 after a close", "4 in a savepoint")
    ]


async def test_leaving_the_session_with_an_error_takes_back_to_the_last_commit(
    stores: Stores, database_url: str
) -> None:
    async def catches(ctx: Context, payload: dict[str, Any]) -> None:
        try:
            async with await ctx.session() as session:
                await write(session, "1 kept")
                await session.commit()
                await write(session, "2 taken back")
                raise LookupError
        except LookupError:
            await write(await ctx.session(), "3 kept")

    async with workbench(stores, database_url, catches) as bench:
        row = await bench.run()
    assert row.status is Status.COMPLETED
    assert await effects(stores) == ["1 kept", "3 kept"]


@pytest.mark.parametrize(
    ("raised", "attempt"), [(RuntimeError("no"), 1), (Snooze(60), 0), (SystemExit(3), 1)], ids=type
)
async def test_a_handler_that_raises_leaves_no_effect(
    stores: Stores, database_url: str, raised: BaseException, attempt: int
) -> None:
    async def writes_and_raises(ctx: Context, payload: dict[str, Any]) -> None:
        await write(await ctx.session(), "never")
        raise raised

    async with workbench(stores, database_url, writes_and_raises) as bench:
        row = await bench.run()
    assert (row.status, row.attempt) == (Status.PENDING, attempt)
    assert await effects(stores) == []


async def test_a_zombie_writes_nothing(stores: Stores, database_url: str) -> None:
    """Its task was reaped and claimed by another while it still ran: the token decides."""
    may_go_on, started = asyncio.Event(), asyncio.Event()

    async def waits(ctx: Context, payload: dict[str, Any]) -> str:
        await write(await ctx.session(), f"token {ctx.fencing_token}")
        started.set()
        await may_go_on.wait()
        return "late"

    async with workbench(stores, database_url, waits) as bench:
        claim = await bench.start()
        await started.wait()
        await stores.upkeep.reap([claim.key], spread=timedelta())
        [again] = await stores.claims.claim([claim.id], consumer=new_consumer_id(), kinds=[Kind(KIND)])
        may_go_on.set()
        await bench.ended()
        assert await effects(stores) == []
        row = await stores.get(claim.id)
        assert (row.status, row.fencing_token) == (Status.PROCESSING, again.token)
        assert _named(bench.events, Fenced) == [Fenced(1)]
        bench.restart(again)
        await bench.ended()
    assert await effects(stores) == [f"token {again.token}"]
    assert (await stores.get(claim.id)).result == "late"


def _named(events: list[Event], kind: type[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


async def test_a_result_that_cannot_be_stored_takes_the_effect_along(
    stores: Stores, database_url: str
) -> None:
    async def returns_nan(ctx: Context, payload: dict[str, Any]) -> float:
        await write(await ctx.session(), "never")
        return math.nan

    async with workbench(stores, database_url, returns_nan) as bench:
        row = await bench.run()
    assert row.status is Status.FAILED
    assert row.error is not None
    assert row.error["type"] == "UnstorableResult"
    assert await effects(stores) == []


@pytest.mark.parametrize("column", ["once", "late"])
async def test_what_the_database_refuses_fails_the_try(
    stores: Stores, database_url: str, column: str
) -> None:
    """`once` is refused by its own statement, `late` by the COMMIT itself."""
    await stores.raw.execute(f"INSERT INTO effects (what, {column}) VALUES ('first', 'taken')")  # noqa: S608

    async def writes(ctx: Context, payload: dict[str, Any]) -> None:
        await write(
            await ctx.session(), f"try {ctx.attempt}", **{column: "taken" if ctx.attempt == 1 else "free"}
        )

    async with workbench(stores, database_url, writes) as bench:
        claim = await bench.start()
        await bench.ended()
        row = await stores.get(claim.id)
        assert (row.status, row.attempt) == (Status.PENDING, 1), "charged: it was the handler's doing"
        assert row.error is not None
        assert row.error["type"] == "IntegrityError"
        [told] = [event for event in bench.events if isinstance(event, AttemptFailed)]
        assert (told.task, told.attempt) == (str(claim.id), 1)
        assert told.error.startswith("IntegrityError")
        assert await effects(stores) == ["first"]
        await stores.raw.execute("UPDATE tasks SET run_at = now()")
        bench.restart(*await stores.claims.claim([claim.id], consumer=new_consumer_id(), kinds=[Kind(KIND)]))
        await bench.ended()
    assert (await stores.get(claim.id)).status is Status.COMPLETED
    assert await effects(stores) == ["first", "try 2"]
    assert _named(bench.events, StepFailed) == []
