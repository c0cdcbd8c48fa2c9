"""A COMMIT that the server refuses each time comes to an end, as a failure (R6 session)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sluice.core.ids import new_consumer_id
from sluice.core.task import Kind, Status, Task
from tests.integration.writing import writes
from tests.support.effects import effects
from tests.support.stores import Stores
from tests.support.workbench import KIND, Workbench, workbench

pytestmark = pytest.mark.usefixtures("effects_table")


@asynccontextmanager
async def at_commit(stores: Stores, body: str) -> AsyncIterator[None]:
    """A deferred trigger on `effects` that does this."""
    await stores.raw.execute(
        f"CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON effects DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION at_commit()"
    )
    try:
        yield
    finally:
        await stores.raw.execute("DROP TRIGGER at_commit ON effects; DROP FUNCTION at_commit()")


async def _tried_to_the_end(bench: Workbench, stores: Stores, most: int) -> tuple[Task, int]:
    """The row once it is not pending any more, and after how many tries: `most` at most."""
    row = await bench.run(max_attempts=2)
    tries = 1
    while row.status is Status.PENDING and tries < most:
        await stores.raw.execute("UPDATE tasks SET run_at = now()")
        bench.restart(*await stores.claims.claim([row.id], consumer=new_consumer_id(), kinds=[Kind(KIND)]))
        await bench.ended()
        row = await stores.get(row.id)
        tries += 1
    return row, tries


@pytest.mark.parametrize(
    "does",
    [
        "RAISE EXCEPTION 'not this one' USING ERRCODE = '55000';",
        "RAISE EXCEPTION 'not this one' USING ERRCODE = '57014';",
        "RAISE EXCEPTION 'not this one' USING ERRCODE = '53100';",
        "RAISE EXCEPTION 'not this one' USING ERRCODE = 'XX001';",
        "RAISE EXCEPTION 'not this one';",
    ],
)
async def test_a_commit_that_a_deferred_trigger_refuses_is_charged(
    stores: Stores, database_url: str, does: str
) -> None:
    """Ten times in half a minute it ran, with two attempts granted."""
    async with workbench(stores, database_url, writes) as bench, at_commit(stores, does):
        row, tries = await _tried_to_the_end(bench, stores, most=4)
    assert (row.status, row.attempt, tries) == (Status.FAILED, 2, 2)
    assert row.error is not None
    assert "not this one" in row.error["message"]
    assert await effects(stores) == []


async def test_a_task_that_kills_its_connection_at_each_commit_fails_in_words(
    stores: Stores, database_url: str
) -> None:
    """Nobody can tell that from a server that died: the first few are not charged."""
    kill = "PERFORM pg_terminate_backend(pg_backend_pid());"
    async with workbench(stores, database_url, writes) as bench, at_commit(stores, kill):
        row, tries = await _tried_to_the_end(bench, stores, most=10)
    assert (row.status, row.attempt, tries) == (Status.FAILED, 2, 7)
    assert row.error is not None
    assert row.error["type"] == "NoOutcome"
    assert "ended without an outcome" in row.error["message"]
    assert await effects(stores) == []
