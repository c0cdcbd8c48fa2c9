"""Submitting: one statement for a batch, on the database's clock, repeated as it stands (A1 commit)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from sluice.core.errors import RowRefused
from sluice.core.task import Status
from tests.support.stores import Stores, list_of, new


async def test_a_submission_is_a_pending_row_with_its_values(stores: Stores) -> None:
    task = new("mail", message="hé\n", payload='{"to":  "x"}', priority=0, max_attempts=100, timeout=0.001)
    accepted = (await stores.submit(task))[task.id]
    row = await stores.get(task.id)
    assert (row.kind, row.message, row.payload, row.priority) == ("mail", "hé\n", {"to": "x"}, 0)
    assert (row.max_attempts, row.timeout, row.status, row.attempt) == (100, 0.001, Status.PENDING, 0)
    assert (row.fencing_token, row.crashes, row.consumer_id, row.result) == (0, 0, None, None)
    assert row.run_at == row.created_at == row.updated_at == accepted.created_at == accepted.run_at
    assert accepted.due


async def test_the_past_means_now_and_the_future_is_kept(stores: Stores) -> None:
    now = datetime.now(UTC)
    past, future, delayed = (
        new(run_at=now - timedelta(days=9)),
        new(run_at=now + timedelta(days=9)),
        new(delay=90.0),
    )
    zero = new(delay=0.0)
    accepted = await stores.submit(past, future, delayed, zero)
    assert accepted[past.id].run_at == accepted[past.id].created_at
    assert accepted[past.id].due
    assert accepted[future.id].run_at == now + timedelta(days=9)
    assert accepted[delayed.id].run_at == accepted[delayed.id].created_at + timedelta(seconds=90)
    assert accepted[zero.id].due
    assert not accepted[future.id].due
    assert not accepted[delayed.id].due


async def test_a_submission_sent_again_is_answered_for_and_changes_nothing(stores: Stores) -> None:
    known, fresh, delayed = new(message="first"), new(), new(delay=60.0)
    first = await stores.submit(known, delayed)
    [claim] = await stores.claims.claim([known.id], consumer=await stores.consumer(), kinds=[known.kind])
    second = await stores.submit(known, fresh, delayed)
    assert second[known.id] == first[known.id]
    assert second[delayed.id] == first[delayed.id]
    assert second[fresh.id].due
    assert (await stores.get(known.id)).fencing_token == claim.token
    assert await stores.raw.fetchval("SELECT count(*) FROM tasks") == 3


async def test_the_same_submission_from_two_sides_at_once_is_one_row(stores: Stores) -> None:
    tasks = [new() for _ in range(200)]
    answers = await asyncio.gather(*(stores.submit(*tasks) for _ in range(4)))
    assert all(answer == answers[0] for answer in answers)
    assert await stores.raw.fetchval("SELECT count(*) FROM tasks") == 200


async def test_one_refused_row_refuses_its_batch_and_nothing_is_stored(stores: Stores) -> None:
    with pytest.raises(RowRefused) as refused:
        await stores.submit(new(), new(message="\0"), new())
    assert refused.value.sqlstate.startswith("22")
    assert "\0" not in refused.value.reason
    assert await stores.raw.fetchval("SELECT count(*) FROM tasks") == 0


async def test_ten_thousand_at_once_are_one_statement(stores: Stores) -> None:
    tasks = [new(message="m") for _ in range(10_000)]
    accepted = await stores.submit(*tasks)
    assert accepted.keys() == {task.id for task in tasks}
    assert len({answer.created_at for answer in accepted.values()}) == 1


async def test_what_is_due_is_pushed_in_the_order_of_submission(stores: Stores) -> None:
    await stores.consumer()
    ids = await stores.submit_and_push([new(), new(delay=60.0), new(), new(priority=9)])
    assert await stores.entries() == [str(ids[2]), str(ids[0])]
    assert await stores.entries(list_of(priority=9)) == [str(ids[3])]
