"""What PostgreSQL refuses for a reason that lies in no row's values is sent again, and ends no consumer (R5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sluice import Context
from sluice.consumer.intake.claim import Claimer
from sluice.consumer.intake.prefetch import Prefetch
from sluice.consumer.lease import Lease
from sluice.consumer.upkeep.reap import Reap
from sluice.core.clock import boottime
from sluice.core.events import Event, OutcomeRefused, StepFailed, StoreBack, StoreLost, UpkeepDone
from sluice.core.task import DEFAULT_QUEUE, Claim, Status
from sluice.db.claims import NO_HINTS, Lane
from sluice.db.upkeep import BEGINNING
from tests.support.eventually import eventually
from tests.support.stores import ECHO, Stores, new
from tests.support.workbench import KIND, workbench


@asynccontextmanager
async def refusing(stores: Stores, state: str, condition: str) -> AsyncIterator[None]:
    """A trigger on `tasks` that raises this SQLSTATE where the condition holds."""
    await stores.raw.execute(
        f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '{state}'; END $$;"
        f"CREATE TRIGGER refuse BEFORE UPDATE ON tasks FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION refuse()"
    )
    try:
        yield
    finally:
        await stores.raw.execute("DROP TRIGGER refuse ON tasks; DROP FUNCTION refuse()")


async def _answers(ctx: Context, payload: dict[str, Any]) -> str | None:
    return ctx.message


async def test_an_outcome_that_is_refused_for_want_of_a_right_is_kept_until_it_is_taken(
    stores: Stores, database_url: str
) -> None:
    async with workbench(stores, database_url, _answers) as bench:
        async with refusing(stores, "42501", "NEW.status = 'completed'"):
            claim = await bench.start(message="kept")
            lost = await eventually(lambda: [e for e in bench.events if isinstance(e, StoreLost)])
            assert (await stores.get(claim.id)).status is Status.PROCESSING
        await bench.ended()
        row = await stores.get(claim.id)
    assert (row.status, row.result, row.attempt) == (Status.COMPLETED, "kept", 1)
    assert lost[0].reason == "not now"
    assert any(isinstance(event, StoreBack) for event in bench.events)


async def test_an_outcome_that_a_trigger_refuses_fails_alone(stores: Stores, database_url: str) -> None:
    async with (
        workbench(stores, database_url, _answers) as bench,
        refusing(stores, "P0001", "NEW.status = 'completed' AND NEW.message = 'bad'"),
    ):
        claims = await bench.start_all(*(new(KIND, message=word) for word in ("good", "bad", "good")))
        await bench.ended()
        rows = [await stores.get(claim.id) for claim in claims]
    assert {row.message: row.status for row in rows} == {"good": Status.COMPLETED, "bad": Status.FAILED}
    assert len([event for event in bench.events if isinstance(event, OutcomeRefused)]) == 1


def claimer_of(stores: Stores, claims: list[Claim]) -> tuple[Claimer, list[Event]]:
    """A claimer whose claims are added to `claims`, and what it reports."""
    events: list[Event] = []
    lease = Lease(timedelta(minutes=10), boottime)
    lease.renewed(boottime())
    claimer = Claimer(
        store=stores.claims,
        kinds=[ECHO],
        lease=lease,
        complete=SimpleNamespace(full=False),
        quarantine=SimpleNamespace(may_begin=True),
        prefetch=cast(
            "Prefetch", SimpleNamespace(holds_suspect=False, put=lambda found, _: claims.extend(found))
        ),
        report=events.append,
    )
    return claimer, events


@pytest.mark.parametrize("redis", [True, False], ids=["by id", "without redis"])
async def test_a_claim_that_a_trigger_refuses_is_left_alone_and_ends_no_consumer(
    stores: Stores, redis: bool
) -> None:
    claims: list[Claim] = []
    claimer, events = claimer_of(stores, claims)
    tasks = [new(message=word) for word in ("good", "bad", "good", "good")]
    await stores.submit(*tasks)
    async with refusing(stores, "P0001", "NEW.status = 'processing' AND NEW.message = 'bad'"):
        if redis:
            claimed = await claimer.claim([task.id for task in tasks])
        else:
            lanes = {Lane(DEFAULT_QUEUE, ECHO, 5): BEGINNING}
            claimed = (await claimer.claim_ready(lanes, 10, NO_HINTS)).claimed
    assert claimed == 3
    assert [claim.message for claim in claims] == ["good"] * 3
    assert (await stores.get(tasks[1].id)).status is Status.PENDING
    assert [event.step for event in events if isinstance(event, StepFailed)] == ["claim"]


@pytest.mark.parametrize("redis", [True, False], ids=["by id", "without redis"])
async def test_a_suspect_that_a_trigger_refuses_keeps_nobody_waiting(stores: Stores, redis: bool) -> None:
    """It is the first: innocent tasks and the next suspect are claimed all the same."""
    claims: list[Claim] = []
    claimer, events = claimer_of(stores, claims)
    tasks = [new(message=word) for word in ("bad", "suspect", "suspect", "good", "good")]
    await stores.submit(*tasks)
    await stores.raw.execute("UPDATE tasks SET crashes = 2 WHERE message <> 'good'")
    async with refusing(stores, "P0001", "NEW.status = 'processing' AND NEW.message = 'bad'"):
        if redis:
            await claimer.claim([task.id for task in tasks])
        else:
            await claimer.claim_ready({Lane(DEFAULT_QUEUE, ECHO, 5): BEGINNING}, 10, NO_HINTS)
        await eventually(lambda: claims)
    assert sorted(claim.message or "" for claim in claims) == ["good", "good", "suspect"]
    assert [event.step for event in events if isinstance(event, StepFailed)] == ["claim"]


async def test_a_dead_try_that_a_trigger_refuses_to_give_back_is_left_alone(stores: Stores) -> None:
    events: list[Event] = []
    now = 0.0
    lease = Lease(timedelta(seconds=30), lambda: now)
    lease.renewed(now)
    for now in (15.0, 30.0, 45.0):
        lease.renewed(now)
    claims = await stores.claimed(*(new(message=word) for word in ("good", "bad", "good")))
    await stores.upkeep.add_steps([Reap.name])
    async with refusing(stores, "23514", "NEW.status = 'pending' AND NEW.message = 'bad'"):
        await Reap(store=stores.upkeep, lease=lease, report=events.append).step()
    found = {claim.message: (await stores.get(claim.id)).status for claim in claims}
    assert found == {"good": Status.PENDING, "bad": Status.PROCESSING}
    assert [type(event) for event in events] == [StepFailed, UpkeepDone]
