"""What a person does to a task: cancel and retry (C1 cancel)."""

from __future__ import annotations

import asyncio

import pytest

from sluice.core.errors import TaskNotFound, TransitionRefused
from sluice.core.ids import new_consumer_id, new_task_id
from sluice.core.outcome import Completion, Failing, Failure
from sluice.core.task import JsonText, Status
from tests.support.stores import ECHO, Stores, new


async def test_canceling_says_that_a_pending_task_will_never_start(stores: Stores) -> None:
    task = new()
    await stores.submit(task)
    canceled, ours = await stores.tasks.cancel(task.id)
    assert ours
    assert (canceled.status, canceled.canceled_from) == (Status.CANCELED, Status.PENDING)
    assert (canceled.fencing_token, canceled.finished_at) == (1, canceled.updated_at)
    assert await stores.get(task.id) == canceled
    assert await stores.claims.claim([task.id], consumer=new_consumer_id(), kinds=[ECHO]) == []


async def test_canceling_says_that_a_try_was_running_and_whose(stores: Stores) -> None:
    me = new_consumer_id()
    [claim] = await stores.claimed(new(), consumer=me)
    canceled, ours = await stores.tasks.cancel(claim.id)
    assert ours
    assert (canceled.canceled_from, canceled.consumer_id) == (Status.PROCESSING, me)
    assert canceled.fencing_token == claim.token + 1, "the run's writes are fenced off"


async def test_canceling_again_changes_nothing(stores: Stores) -> None:
    [claim] = await stores.claimed(new())
    first, _ = await stores.tasks.cancel(claim.id)
    assert await stores.tasks.cancel(claim.id) == (first, False)


@pytest.mark.parametrize("failed", [False, True])
async def test_what_has_ended_cannot_be_canceled(stores: Stores, failed: bool) -> None:
    [claim] = await stores.claimed(new())
    if failed:
        await stores.claims.fail([Failing(claim.id, claim.token, Failure("E", "m"), None)])
    else:
        await stores.claims.finish([Completion(claim.id, claim.token, None)])
    before = await stores.get(claim.id)
    with pytest.raises(TransitionRefused) as refused:
        await stores.tasks.cancel(claim.id)
    assert refused.value.status is before.status
    assert await stores.get(claim.id) == before


async def test_an_unknown_task_is_not_found(stores: Stores) -> None:
    for ask in (stores.tasks.get, stores.tasks.cancel, stores.tasks.retry):
        with pytest.raises(TaskNotFound):
            await ask(new_task_id())


@pytest.mark.parametrize("from_canceled", [False, True])
async def test_a_retry_starts_over_with_a_fresh_budget(stores: Stores, from_canceled: bool) -> None:
    [claim] = await stores.claimed(new(delay=0.0, max_attempts=2))
    await stores.raw.execute("UPDATE tasks SET crashes = 2, run_at = now() - interval '1 hour'")
    if from_canceled:
        ended, _ = await stores.tasks.cancel(claim.id)
    else:
        await stores.claims.fail([Failing(claim.id, claim.token, Failure("E", "m"), None)])
        ended = await stores.get(claim.id)

    retried = await stores.tasks.retry(claim.id)

    assert (retried.status, retried.attempt, retried.crashes) == (Status.PENDING, 0, 0)
    assert (retried.result, retried.error, retried.canceled_from) == (None, None, None)
    assert (retried.started_at, retried.finished_at, retried.consumer_id) == (None, None, None)
    assert retried.run_at == retried.updated_at > ended.updated_at
    assert retried.fencing_token == ended.fencing_token + 1
    assert retried.created_at == ended.created_at
    assert await stores.get(claim.id) == retried
    [again] = await stores.claims.claim([claim.id], consumer=new_consumer_id(), kinds=[ECHO])
    assert again.attempt == 1


async def test_only_failed_and_canceled_tasks_are_retried(stores: Stores) -> None:
    pending = new()
    await stores.submit(pending)
    processing, completed = await stores.claimed(new(), new())
    await stores.claims.finish([Completion(completed.id, completed.token, JsonText("1"))])
    for task_id, status in (
        (pending.id, Status.PENDING),
        (processing.id, Status.PROCESSING),
        (completed.id, Status.COMPLETED),
    ):
        before = await stores.get(task_id)
        with pytest.raises(TransitionRefused) as refused:
            await stores.tasks.retry(task_id)
        assert refused.value.status is status
        assert await stores.get(task_id) == before


async def test_a_cancel_that_waits_for_a_finish_is_told_that_it_came_too_late(stores: Stores) -> None:
    [claim] = await stores.claimed(new())
    async with stores.raw.transaction():
        await stores.raw.execute(
            "UPDATE tasks SET status = 'completed', fencing_token = fencing_token + 1 WHERE id = $1", claim.id
        )
        canceling = asyncio.gather(stores.tasks.cancel(claim.id), return_exceptions=True)
        await stores.waited_for()
    [answer] = await canceling
    assert isinstance(answer, TransitionRefused)
    assert answer.status is Status.COMPLETED


async def test_cancel_and_finish_at_once_have_one_winner(stores: Stores) -> None:
    claims = await stores.claimed(*(new() for _ in range(50)))

    async def finish() -> int:
        await asyncio.gather(*(stores.claims.finish([Completion(c.id, c.token, None)]) for c in claims))
        return int(await stores.raw.fetchval("SELECT count(*) FROM tasks WHERE status = 'completed'"))

    answers, _ = await asyncio.gather(
        asyncio.gather(
            *(stores.tasks.cancel(claim.id) for claim in reversed(claims)), return_exceptions=True
        ),
        finish(),
    )
    for claim, answer in zip(reversed(claims), answers, strict=True):
        row = await stores.get(claim.id)
        lost = isinstance(answer, TransitionRefused)
        assert row.status is (Status.COMPLETED if lost else Status.CANCELED)
        assert row.fencing_token == claim.token + 1


async def test_a_task_that_moves_between_the_two_looks_is_asked_again(stores: Stores) -> None:
    """Canceling a failed task that a person retries meanwhile cancels the retried one, or says that it had failed."""
    [claim] = await stores.claimed(new())
    await stores.claims.fail([Failing(claim.id, claim.token, Failure("E", "m"), None)])
    answers = await asyncio.gather(
        stores.tasks.retry(claim.id), stores.tasks.cancel(claim.id), return_exceptions=True
    )
    status = (await stores.get(claim.id)).status
    assert status is (Status.PENDING if isinstance(answers[1], TransitionRefused) else Status.CANCELED)
