"""What a claim by the rows costs where many tasks wait that one more crash would poison (U2 reap)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from sluice.db.statements import statement
from tests.support.explaining import DIALECT, explain, work
from tests.support.stores import Stores, new

SUSPECTS = 2000


@dataclass(frozen=True, slots=True)
class Ours:
    """A connection as our processes open them."""

    ours: asyncpg.Connection[Any]


@pytest.mark.parametrize("suspect", [0, 1])
async def test_a_suspect_is_found_without_a_walk_past_others(stores: Stores, suspect: int) -> None:
    """Behind the end of its lane: all that is looked at is what the suspect's own index gives.

    Also where that index is larger than the one of all that wait: a wave of crashes leaves dead entries in it.
    """
    await stores.submit(*(new() for _ in range(SUSPECTS)))
    for _ in range(3):
        await stores.raw.execute("UPDATE tasks SET crashes = 2")
    await stores.raw.execute("REINDEX INDEX ix_tasks_lanes")
    await stores.raw.execute("ANALYZE tasks")
    values = {
        "queues": ["default"],
        "kinds": ["echo"],
        "priorities": [5],
        "listed": [False],
        "hints": [],
        "run_ats": ["9999-12-31"],
        "ids": [UUID(int=(1 << 128) - 1)],
        "slack": 3.0,
        "skip": 0,
        "n": 50,
        "consumer_id": uuid4(),
        "suspect": suspect,
    }
    compiled = statement("claim_ready").compile(dialect=DIALECT)
    async with stores.engine.connect() as pooled:
        ours = (await pooled.get_raw_connection()).driver_connection
        assert ours is not None
        plan = await explain(
            Ours(ours), str(compiled), values, list(compiled.positiontup or ()), "force_generic_plan"
        )
    indexes, looked, _ = work(plan)
    assert indexes == {"ix_tasks_suspects", "ix_tasks_lanes", "pk_tasks"}
    assert looked <= 2 * suspect
