"""What a handler leaves to be flushed when it has returned fails like any statement of its own (R6 session)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sluice import Context
from sluice.core.task import Status
from tests.support.effects import effects
from tests.support.proxy import proxied
from tests.support.stores import Stores
from tests.support.workbench import workbench

pytestmark = pytest.mark.usefixtures("effects_table")


class _Mapped(DeclarativeBase):
    pass


class _Effect(_Mapped):
    __tablename__ = "effects"

    what: Mapped[str] = mapped_column(primary_key=True)


async def _adds(ctx: Context, payload: dict[str, Any]) -> str:
    (await ctx.session()).add(_Effect(what="flushed when the handler has returned"))
    return "done"


async def test_a_flush_that_waits_too_long_for_a_lock_fails_the_try(
    stores: Stores, database_url: str
) -> None:
    """As it would inside of the handler. Given back uncharged it was tried for ever, with all its outside effects."""
    async with workbench(stores, database_url, _adds, lock=timedelta(milliseconds=50)) as bench:
        async with stores.raw.transaction():
            await stores.raw.execute("LOCK TABLE effects IN ACCESS EXCLUSIVE MODE")
            claim = await bench.start()
            await bench.ended()
        row = await stores.get(claim.id)
    assert (row.status, row.attempt) == (Status.PENDING, 1)
    assert row.error is not None
    assert "lock timeout" in row.error["message"]
    assert await effects(stores) == []


@pytest.mark.parametrize("writes", [True, False], ids=["with a flush", "with nothing to flush"])
@pytest.mark.parametrize("told", [True, False], ids=["the server says so", "cut off"])
async def test_a_connection_that_is_lost_before_the_handler_returns_fails_the_try(
    stores: Stores, database_url: str, told: bool, writes: bool
) -> None:
    """A proxy that cuts off idle connections would cut off each try: given back uncharged it would have no end."""
    written, may_end = asyncio.Event(), asyncio.Event()

    async def adds(ctx: Context, payload: dict[str, Any]) -> None:
        session = await ctx.session()
        if writes:
            session.add(_Effect(what="lost"))
        written.set()
        await may_end.wait()

    async with proxied(database_url) as proxy, workbench(stores, proxy.url, adds) as bench:
        claim = await bench.start()
        await written.wait()
        if told:
            await stores.raw.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'sluice/handler' AND datname = current_database()"
            )
        else:
            proxy.drop()
        may_end.set()
        await bench.ended()
        row = await stores.get(claim.id)
    assert (row.status, row.attempt) == (Status.PENDING, 1)
    assert row.error is not None
