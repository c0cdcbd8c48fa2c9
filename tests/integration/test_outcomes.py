"""Finish, fail and give back: fenced by the token (R2 fence), and harmless when they are sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from sluice.core.errors import RowRefused
from sluice.core.ids import new_consumer_id, new_task_id
from sluice.core.outcome import Completion, Failing, Failure, Return
from sluice.core.task import DEFAULT_QUEUE, Claim, FencingToken, JsonText, Status
from sluice.db.claims import Written
from tests.support.stores import ECHO, Stores, new

FAILURE = Failure("ValueError", "no such thing")


def _token(claim: Claim, ahead: int) -> FencingToken:
    return FencingToken(claim.token + ahead)


Write = Callable[[Stores, Claim, int], Awaitable[Written]]
WRITES: dict[str, Write] = {
    "finish": lambda s, c, by: s.claims.finish([Completion(c.id, _token(c, by), JsonText("1"))]),
    "fail for good": lambda s, c, by: s.claims.fail([Failing(c.id, _token(c, by), FAILURE, None)]),
    "fail, to be tried again": lambda s, c, by: s.claims.fail(
        [Failing(c.id, _token(c, by), FAILURE, timedelta(seconds=1))]
    ),
    "give back": lambda s, c, by: s.claims.give_back([Return(c.id, _token(c, by))]),
}


async def test_finishing_completes_and_stores_the_result_as_it_is(stores: Stores) -> None:
    claims = await stores.claimed(new(), new())
    done = [Completion(claims[0].id, claims[0].token, JsonText('{"a": [1,  2.50]}'))]
    assert await stores.claims.finish([*done, Completion(claims[1].id, claims[1].token, None)]) == Written(2)

    row = await stores.get(claims[0].id)
    assert (row.status, row.fencing_token, row.attempt) == (Status.COMPLETED, 2, 1)
    assert row.result == {"a": [1, 2.5]}
    assert row.finished_at is not None
    assert row.started_at is not None
    assert row.finished_at == row.updated_at >= row.started_at
    stored = await stores.raw.fetchval("SELECT result::text FROM tasks WHERE id = $1", row.id)
    assert stored == '{"a": [1,  2.50]}', "not a byte was changed"
    assert (await stores.get(claims[1].id)).result is None
    assert await stores.raw.fetchval("SELECT result IS NULL FROM tasks WHERE id = $1", claims[1].id)


async def test_completing_forgets_the_error_of_an_earlier_try(stores: Stores) -> None:
    [claim] = await stores.claimed(new())
    await stores.claims.fail([Failing(claim.id, claim.token, FAILURE, timedelta())])
    [again] = await stores.claims.claim([claim.id], consumer=new_consumer_id(), kinds=[ECHO])
    await stores.claims.finish([Completion(again.id, again.token, None)])
    row = await stores.get(claim.id)
    assert (row.status, row.error, row.attempt) == (Status.COMPLETED, None, 2)


async def test_a_failure_with_a_delay_is_pending_again_when_it_is_over(stores: Stores) -> None:
    [claim] = await stores.claimed(new(priority=3))
    written = await stores.claims.fail([Failing(claim.id, claim.token, FAILURE, timedelta(seconds=90))])

    [pending] = written.pending
    assert (written.rows, pending.id, pending.priority, pending.due) == (1, claim.id, 3, False)
    assert pending.due_in == timedelta(seconds=90)
    row = await stores.get(claim.id)
    assert (row.status, row.consumer_id, row.finished_at, row.attempt) == (Status.PENDING, None, None, 1)
    assert row.run_at == row.updated_at + timedelta(seconds=90)
    assert row.error is not None
    assert (row.error["type"], row.error["message"]) == ("ValueError", "no such thing")
    assert row.error["at"] == row.updated_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def test_a_failure_without_a_delay_is_due_for_publishing_at_once(stores: Stores) -> None:
    [claim] = await stores.claimed(new())
    written = await stores.claims.fail([Failing(claim.id, claim.token, FAILURE, timedelta())])
    assert [(row.due, row.due_in) for row in written.pending] == [(True, timedelta())]


async def test_a_final_failure_ends_the_task_and_needs_no_publishing(stores: Stores) -> None:
    me = new_consumer_id()
    [claim] = await stores.claimed(new(), consumer=me)
    assert await stores.claims.fail([Failing(claim.id, claim.token, FAILURE, None)]) == Written(1)
    row = await stores.get(claim.id)
    assert (row.status, row.consumer_id, row.fencing_token) == (Status.FAILED, me, 2)
    assert row.finished_at == row.updated_at
    assert row.error is not None


async def test_a_try_given_back_is_not_charged_and_keeps_its_place(stores: Stores) -> None:
    [claim] = await stores.claimed(new())
    before = await stores.get(claim.id)
    written = await stores.claims.give_back([Return(claim.id, claim.token)])

    [pending] = written.pending
    assert pending == (claim.id, DEFAULT_QUEUE, ECHO, 5, True, timedelta())
    row = await stores.get(claim.id)
    assert (row.status, row.attempt, row.consumer_id) == (Status.PENDING, 0, None)
    assert row.run_at == before.run_at
    [again] = await stores.claims.claim([claim.id], consumer=new_consumer_id(), kinds=[ECHO])
    assert (again.attempt, again.token) == (1, 3)


async def test_a_try_given_back_for_later_runs_later(stores: Stores) -> None:
    [claim] = await stores.claimed(new())
    written = await stores.claims.give_back([Return(claim.id, claim.token, timedelta(minutes=5))])
    assert [(row.due, row.due_in) for row in written.pending] == [(False, timedelta(minutes=5))]
    assert await stores.claims.claim([claim.id], consumer=new_consumer_id(), kinds=[ECHO]) == []


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_a_stale_or_an_invented_token_changes_nothing(stores: Stores, write: Write) -> None:
    [claim] = await stores.claimed(new())
    before = await stores.get(claim.id)
    for ahead in (-1, 1):
        assert await write(stores, claim, ahead) == Written(0)
    assert await stores.get(claim.id) == before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_a_write_sent_again_changes_nothing(stores: Stores, write: Write) -> None:
    [claim] = await stores.claimed(new())
    assert (await write(stores, claim, 0)).rows == 1
    after = await stores.get(claim.id)
    assert await write(stores, claim, 0) == Written(0)
    assert await stores.get(claim.id) == after


@pytest.mark.parametrize("second", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("first", WRITES.values(), ids=WRITES)
async def test_of_two_writes_under_one_token_only_one_applies(
    stores: Stores, first: Write, second: Write
) -> None:
    [claim] = await stores.claimed(new())
    rows = await asyncio.gather(first(stores, claim, 0), second(stores, claim, 0))
    assert sorted(written.rows for written in rows) == [0, 1]
    assert (await stores.get(claim.id)).fencing_token == claim.token + 1


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_a_canceled_task_takes_no_outcome(stores: Stores, write: Write) -> None:
    [claim] = await stores.claimed(new())
    canceled, _ = await stores.tasks.cancel(claim.id)
    assert await write(stores, claim, 0) == Written(0)
    assert await stores.get(claim.id) == canceled


async def test_in_a_batch_each_row_is_fenced_by_itself(stores: Stores) -> None:
    claims = await stores.claimed(*(new() for _ in range(5)))
    await stores.tasks.cancel(claims[2].id)
    writes = [Completion(c.id, c.token, JsonText(str(at))) for at, c in enumerate(claims)]
    strange = Completion(new_task_id(), FencingToken(1), None)
    assert await stores.claims.finish([*reversed(writes), strange]) == Written(4)
    rows = [await stores.get(claim.id) for claim in claims]
    assert [row.result for row in rows] == [0, 1, None, 3, 4]


async def test_a_refused_result_is_the_rows_fault_and_undoes_the_batch(stores: Stores) -> None:
    good, bad = await stores.claimed(new(), new())
    with pytest.raises(RowRefused) as refused:
        await stores.claims.finish(
            [Completion(good.id, good.token, None), Completion(bad.id, bad.token, JsonText("{not json"))]
        )
    assert refused.value.sqlstate.startswith("22")
    assert (await stores.get(good.id)).status is Status.PROCESSING
    assert await stores.claims.finish([Completion(good.id, good.token, None)]) == Written(1)


async def test_held_names_the_runs_of_one_consumer(stores: Stores) -> None:
    me, other = new_consumer_id(), new_consumer_id()
    mine = await stores.claimed(new(), new(), consumer=me)
    await stores.claimed(new(), consumer=other)
    await stores.claims.finish([Completion(mine[0].id, mine[0].token, None)])
    assert await stores.claims.held(me) == {mine[1].key}
    assert await stores.claims.held(new_consumer_id()) == set()


async def test_runs_are_asked_for_by_id_and_token(stores: Stores) -> None:
    on, done, canceled, back = await stores.claimed(new(), new(), new(), new())
    await stores.claims.finish([Completion(done.id, done.token, None)])
    await stores.tasks.cancel(canceled.id)
    await stores.claims.give_back([Return(back.id, back.token)])
    [again] = await stores.claims.claim([back.id], consumer=new_consumer_id(), kinds=[ECHO])
    runs = {on.key, done.key, canceled.key, back.key, again.key, (new_task_id(), on.token)}
    assert await stores.claims.held_among(runs) == {on.key, again.key}
    assert await stores.claims.held_among([]) == set()
