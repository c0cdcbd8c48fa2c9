"""Submit, get, cancel, retry, and what is counted for health: the same from PostgreSQL and from its stand-in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluice.core.errors import RowRefused, TaskNotFound, TransitionRefused
from sluice.core.ids import new_task_id
from sluice.core.task import ConsumerId, JsonText, Kind, QueueName, Status
from sluice.db.browse import Depth, Served
from sluice.db.consumers import ServedKind
from sluice.db.tasks import Accepted
from tests.conformance.scenes import SECOND, START, claimed, done, failing, living, row
from tests.conformance.world import World
from tests.support.stores import ECHO, new


async def test_a_submission_says_when_each_task_is_due(world: World) -> None:
    await world.advance(1)
    now = START + SECOND
    at_once, past = new(), new(run_at=START)
    later, waiting = new(run_at=now + SECOND), new(delay=2.5)

    accepted = await world.tasks.submit([at_once, past, later, waiting])

    assert accepted == {
        at_once.id: Accepted(now, now, due=True),
        past.id: Accepted(now, now, due=True),
        later.id: Accepted(now, now + SECOND, due=False),
        waiting.id: Accepted(now, now + 2.5 * SECOND, due=False),
    }
    assert await world.tasks.submit([]) == {}


async def test_a_repeated_submission_changes_nothing_and_is_answered(world: World) -> None:
    task, late, fresh = new(message="first"), new(delay=1.0), new()
    before = await world.tasks.submit([task, late])
    await world.advance(5)
    await claimed_again(world, task.id)

    again = await world.tasks.submit([replace(task, message="second"), late, fresh, fresh])

    assert again[task.id] == before[task.id]
    assert again[late.id] == before[late.id]
    assert again[fresh.id] == Accepted(START + 5 * SECOND, START + 5 * SECOND, due=True)
    assert (await row(world, task.id))["message"] == "first"
    assert (await row(world, task.id))["status"] == "processing"


async def claimed_again(world: World, task_id: object) -> None:
    await world.claims.claim([task_id], consumer=ConsumerId(new_task_id()), kinds=[ECHO])  # type: ignore[list-item]


@pytest.mark.parametrize("bad", [{"payload": "{"}, {"message": "a\0b"}])
async def test_one_refused_row_fails_the_whole_batch(world: World, bad: dict[str, str]) -> None:
    with pytest.raises(RowRefused):
        await world.tasks.submit([new(), new(**bad)])
    assert await world.rows("tasks") == {}


async def test_a_task_is_shown_as_it_is(world: World) -> None:
    task = new(message="m", payload='{"a": 1}', run_at=START + SECOND)
    await world.tasks.submit([task])
    shown = await world.tasks.get(task.id)
    assert (shown.status, shown.message, shown.payload) == (Status.PENDING, "m", {"a": 1})
    assert (shown.created_at, shown.run_at, shown.fencing_token) == (START, START + SECOND, 0)
    with pytest.raises(TaskNotFound):
        await world.tasks.get(new_task_id())


async def test_a_cancel_says_which_side_won(world: World) -> None:
    waiting = new()
    await world.tasks.submit([waiting])
    [running] = await claimed(world, new())
    await world.advance(1)

    for task_id, side, token in ((waiting.id, Status.PENDING, 1), (running.id, Status.PROCESSING, 2)):
        task, did = await world.tasks.cancel(task_id)
        assert (task.status, task.canceled_from, task.fencing_token, did) == (
            Status.CANCELED,
            side,
            token,
            True,
        )
        assert (task.finished_at, task.updated_at) == (START + SECOND, START + SECOND)
        await world.advance(1)
        assert await world.tasks.cancel(task_id) == (task, False), "unchanged"
        await world.advance(-1)


async def test_what_ended_cannot_be_canceled(world: World) -> None:
    completed, failed = await claimed(world, new(), new())
    await world.claims.finish([done(completed)])
    await world.claims.fail([failing(failed)])
    before = await world.rows("tasks")
    for claim, status in ((completed, Status.COMPLETED), (failed, Status.FAILED)):
        with pytest.raises(TransitionRefused) as refused:
            await world.tasks.cancel(claim.id)
        assert (refused.value.status, refused.value.wanted) == (status, Status.CANCELED)
    assert await world.rows("tasks") == before
    with pytest.raises(TaskNotFound):
        await world.tasks.cancel(new_task_id())


async def test_a_retry_begins_with_a_fresh_budget(world: World) -> None:
    waiting = new(delay=60.0)
    await world.tasks.submit([waiting])
    failed, canceled = await claimed(world, new(), new())
    await world.claims.fail([failing(failed)])
    await world.tasks.cancel(canceled.id)
    await world.tasks.cancel(waiting.id)
    await world.advance(1)

    for task_id, token in ((failed.id, 3), (canceled.id, 3), (waiting.id, 2)):
        task = await world.tasks.retry(task_id)
        assert (task.status, task.run_at, task.fencing_token) == (Status.PENDING, START + SECOND, token)
        assert (task.attempt, task.crashes, task.consumer_id, task.error, task.result) == (
            0,
            0,
            None,
            None,
            None,
        )
        assert (task.started_at, task.finished_at, task.canceled_from) == (None, None, None)
        with pytest.raises(TransitionRefused):
            await world.tasks.retry(task_id)
    [completed] = await claimed(world, new())
    for _ in range(2):
        with pytest.raises(TransitionRefused):
            await world.tasks.retry(completed.id)
        await world.claims.finish([done(completed)])
    with pytest.raises(TaskNotFound):
        await world.tasks.retry(new_task_id())


async def test_kinds_are_written_once_and_changed_when_they_change(world: World) -> None:
    plain = ServedKind(Kind("a"), None, None, None)
    strict = ServedKind(Kind("b"), JsonText('{"type": "object"}'), 3, 1.5)
    await world.consumers.register_kinds([strict, plain])
    await world.advance(1)
    await world.consumers.register_kinds([plain, replace(strict, max_attempts=4)])
    await world.consumers.register_kinds([])

    assert await world.browse.kinds() == {
        "a": Served(Kind("a"), None, None, None),
        "b": Served(Kind("b"), {"type": "object"}, 4, 1.5),
    }
    found = await world.rows("kinds")
    assert {kind: row["updated_at"] for kind, row in found.items()} == {"a": START, "b": START + SECOND}


async def test_health_counts_who_lives_and_what_waits(world: World) -> None:
    first = await living(world, lease=2 * SECOND)
    await world.advance(1)
    second = await living(world, lease=10 * SECOND)
    await world.tasks.submit([new(), new(delay=60.0), new(queue=QueueName("q"))])
    await claimed(world, new())

    assert [one.id for one in await world.browse.consumers()] == [first, second]
    names = [QueueName(name) for name in ("default", "q", "idle")]
    found = await world.browse.depths(names)
    assert found == {name: Depth(depth, START + SECOND) for name, depth in zip(names, (2, 1, 0), strict=True)}
    assert await world.browse.queues("", 9) == ["default", "q"]
    assert await world.browse.queues("default", 9) == ["q"]
    await world.advance(1)
    [left] = await world.browse.consumers()
    assert (left.id, left.host, left.pid, left.queues, left.running) == (second, "host", 1, ["default"], 0)
    assert (left.capacity, left.beat_at) == (100, START + SECOND)
