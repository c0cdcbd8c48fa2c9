"""ctx.session() (R6 session): the real transaction and its stand-in leave the same rows, effects and errors behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sluice.consumer.runs.transaction import Transaction
from sluice.core.errors import StoreUnavailable
from sluice.core.ids import new_consumer_id
from sluice.core.outcome import Completion
from sluice.core.task import Claim, Status
from sluice.db.claims import Written, finish_values
from sluice.db.faults import SURELY_ROLLED_BACK, from_postgresql, sqlstate
from sluice.db.session import make_engine
from sluice.db.statements import statement
from tests.conformance.scenes import SECOND, START, back, claimed, done
from tests.conformance.world import Real, Simulated, World
from tests.simulation.store_transaction import SimTransaction
from tests.support.stores import ECHO, new


class Writes(Protocol):
    """sluice.consumer.runs.transaction.Transaction, as consumer/runs/work.py uses it."""

    @property
    def used(self) -> bool: ...
    async def open(self) -> Any: ...
    async def complete(self, done: Completion) -> bool: ...
    async def abandon(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Bench:
    world: World
    raw: asyncpg.Connection[Any]
    engine: AsyncEngine

    def transaction(self) -> Writes:
        if isinstance(self.world, Simulated):
            return self.world.store.transaction()
        return Transaction(self.engine, 60.0, 5.0)

    async def write(self, session: Any, what: str) -> None:
        if isinstance(self.world, Simulated):
            session.add(what)
        else:
            await session.execute(text("INSERT INTO effects VALUES (:what)"), {"what": what})

    async def effects(self) -> list[str]:
        if isinstance(self.world, Simulated):
            return list(self.world.store.effects)
        return [row["what"] for row in await self.raw.fetch("SELECT what FROM effects")]


@pytest.fixture
async def bench(world: World, postgresql: Real) -> AsyncIterator[Bench]:
    real = world if isinstance(world, Real) else postgresql
    engine = make_engine(real.url, role="handler", pool_size=4, transactional=True)
    await real.raw.execute("CREATE TABLE effects (what text)")
    yield Bench(world, real.raw, engine)
    await engine.dispose()
    await real.raw.execute("DROP TABLE effects")


async def _one(bench: Bench) -> Claim:
    [claim] = await claimed(bench.world, new())
    return claim


async def test_effects_commit_with_the_completion(bench: Bench) -> None:
    claim = await _one(bench)
    transaction = bench.transaction()
    used = [transaction.used]
    session = await transaction.open()
    assert [*used, transaction.used] == [False, True]
    assert await transaction.open() is session
    await bench.write(session, "kept")
    await session.commit()
    await bench.write(session, "taken back")
    await session.rollback()
    await bench.write(session, "too")
    assert await bench.effects() == [], "a commit inside ends a savepoint only"
    await bench.world.advance(1)

    assert await transaction.complete(done(claim, result="[1]"))
    await transaction.abandon()

    assert await bench.effects() == ["kept", "too"]
    row = (await bench.world.rows("tasks"))[claim.id]
    assert (row["status"], row["result"], row["fencing_token"]) == ("completed", [1], 2)
    assert row["finished_at"] == START + SECOND
    with pytest.raises(RuntimeError):
        await transaction.open()


async def test_nothing_is_left_of_a_transaction_that_is_abandoned(bench: Bench) -> None:
    claim = await _one(bench)
    transaction = bench.transaction()
    await bench.write(await transaction.open(), "lost")
    await transaction.abandon()
    await transaction.abandon()
    assert await bench.effects() == []
    assert await bench.world.claims.give_back([back(claim)]) != Written(0)


async def test_an_older_token_takes_the_effects_along(bench: Bench) -> None:
    claim = await _one(bench)
    transaction = bench.transaction()
    await bench.write(await transaction.open(), "late")
    await bench.world.claims.give_back([back(claim)])
    [second] = await bench.world.claims.claim([claim.id], consumer=new_consumer_id(), kinds=[ECHO])
    assert not await transaction.complete(done(claim))
    await transaction.abandon()
    assert await bench.effects() == []
    assert await bench.world.claims.finish([done(second)]) == Written(1)


async def test_a_result_that_is_no_json_is_surely_refused(bench: Bench) -> None:
    claim = await _one(bench)
    transaction = bench.transaction()
    await bench.write(await transaction.open(), "lost")
    with pytest.raises(Exception) as refused:  # noqa: PT011 - the driver's own, told apart by its state
        await transaction.complete(done(claim, result="{"))
    assert (sqlstate(refused.value) or "").startswith(SURELY_ROLLED_BACK)
    await transaction.abandon()
    assert await bench.effects() == []
    assert (await bench.world.rows("tasks"))[claim.id]["status"] == "processing"


async def _hold(bench: Bench, claim: Claim) -> Callable[[bool], Coroutine[None, None, None]]:
    """A transaction that has written its completion and not yet committed; what ends it, well or not."""
    transaction = bench.transaction()
    await bench.write(await transaction.open(), "held")
    if isinstance(transaction, SimTransaction):
        backend = transaction.backend
        await backend.finish(done(claim))

        async def end(well: bool) -> None:
            await backend.commit(["held"]) if well else backend.roll_back()
    else:
        assert isinstance(transaction, Transaction)
        outer, connection, session = transaction._outer, transaction._connection, transaction._session
        assert outer is not None
        assert connection is not None
        assert session is not None
        await session.commit()
        await connection.execute(statement("finish"), finish_values([done(claim)]))

        async def end(well: bool) -> None:
            await (outer.commit() if well else outer.rollback())
            await transaction.abandon()

    return end


@pytest.mark.parametrize("well", [True, False])
async def test_who_writes_the_same_row_waits_for_the_commit_in_flight(bench: Bench, well: bool) -> None:
    """The fenced give back decides what became of a COMMIT without an answer."""
    claim = await _one(bench)
    end = await _hold(bench, claim)
    assert (await bench.world.tasks.get(claim.id)).status is Status.PROCESSING, "nobody else sees it yet"
    assert await bench.world.claims.claim([claim.id], consumer=new_consumer_id(), kinds=[ECHO]) == []
    assert len(await bench.world.upkeep.reap([claim.key], timedelta())) == 0, "it is passed over"
    async with asyncio.TaskGroup() as group:
        giving = group.create_task(bench.world.claims.give_back([back(claim)]))
        await asyncio.sleep(0.05)
        assert not giving.done()
        await end(well)
    assert giving.result().rows == (0 if well else 1)
    assert await bench.effects() == (["held"] if well else [])
    status = (await bench.world.tasks.get(claim.id)).status
    assert status is (Status.COMPLETED if well else Status.PENDING)


async def test_a_cancel_that_waits_for_a_commit_finds_the_task_completed(bench: Bench) -> None:
    claim = await _one(bench)
    end = await _hold(bench, claim)
    async with asyncio.TaskGroup() as group:
        canceling = group.create_task(_refused(bench.world.tasks.cancel(claim.id)))
        await asyncio.sleep(0.05)
        await end(True)
    assert canceling.result() == "TransitionRefused"


async def _refused(act: Any) -> str:
    try:
        await act
    except Exception as error:  # noqa: BLE001 - its name is compared
        return type(error).__name__
    return ""


async def test_a_server_that_ended_the_transaction_is_a_lost_connection(bench: Bench) -> None:
    claim = await _one(bench)
    transaction = bench.transaction()
    await bench.write(await transaction.open(), "lost")
    if isinstance(transaction, SimTransaction):
        transaction.backend.roll_back()
    else:
        await bench.raw.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'sluice/handler'"
        )
    with pytest.raises(Exception) as lost:  # noqa: PT011 - the driver's own, told apart as work does
        await transaction.complete(done(claim))
    assert isinstance(from_postgresql(lost.value), StoreUnavailable)
    await transaction.abandon()
    assert (await bench.world.rows("tasks"))[claim.id]["status"] == "processing"
