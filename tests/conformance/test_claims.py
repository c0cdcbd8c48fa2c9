"""Claim, finish, fail, give back: the same answers and the same rows from PostgreSQL and from its stand-in."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sluice.core.errors import RowRefused
from sluice.core.ids import new_consumer_id, new_task_id
from sluice.core.task import DEFAULT_QUEUE, Claim, FencingToken, Kind, QueueName
from sluice.db.claims import Pending, Written
from tests.conformance.scenes import SECOND, START, back, claimed, done, failing, row
from tests.conformance.world import World
from tests.support.pruning import prune
from tests.support.stores import ECHO, new

ME = new_consumer_id()


async def test_a_claim_starts_a_try_and_returns_what_it_needs(world: World) -> None:
    task = new(message="hello", payload='{"a": [1,  2]}', priority=7, max_attempts=3, timeout=1.5)
    await world.tasks.submit([task])
    await world.advance(1)

    [claim] = await world.claims.claim([task.id], consumer=ME, kinds=[ECHO])

    assert (claim.id, claim.token, claim.kind, claim.queue, claim.priority) == (
        task.id,
        1,
        "echo",
        "default",
        7,
    )
    assert (claim.message, claim.payload) == ("hello", '{"a": [1,  2]}'), "as it was sent"
    assert (claim.attempt, claim.max_attempts, claim.crashes, claim.timeout) == (1, 3, 0, 1.5)
    found = await row(world, task.id)
    assert (found["status"], found["consumer_id"], found["fencing_token"]) == ("processing", ME, 1)
    assert (found["started_at"], found["updated_at"]) == (START + SECOND, START + SECOND)
    assert await world.claims.held(ME) == {(task.id, 1)}
    assert await world.claims.held(new_consumer_id()) == set()
    runs = [(task.id, FencingToken(token)) for token in (0, 1, 2)]
    assert await world.claims.held_among([*runs, (new_task_id(), FencingToken(1))]) == {runs[1]}


async def test_only_what_is_pending_due_and_served_is_claimed(world: World) -> None:
    good, other, early, canceled = new(), new("other"), new(delay=60.0), new()
    [taken, ended] = await claimed(world, new(), new())
    await world.tasks.submit([good, other, early, canceled])
    await world.tasks.cancel(canceled.id)
    await world.claims.finish([done(ended)])
    ids = [new_task_id(), *(one.id for one in (taken, ended, other, early, canceled, good))]

    claims = await world.claims.claim([*ids, good.id], consumer=ME, kinds=[ECHO])

    assert [claim.id for claim in claims] == [good.id]
    assert await world.claims.claim(ids, consumer=ME, kinds=[ECHO]) == []
    assert await world.claims.claim([], consumer=ME, kinds=[ECHO]) == []
    assert await world.claims.claim([other.id], consumer=ME, kinds=[]) == []
    await world.advance(60)
    assert [claim.id for claim in await world.claims.claim([early.id], consumer=ME, kinds=[ECHO])] == [
        early.id
    ]


async def test_a_finish_needs_the_token_and_takes_effect_once(world: World) -> None:
    mine, other = await claimed(world, new(), new())
    await world.advance(1)

    assert await world.claims.finish([]) == Written(0)
    assert await world.claims.finish([done(mine, stale=1), done(other, stale=-1)]) == Written(0)
    assert await world.claims.finish([done(mine, result='{"n": 1}'), done(mine), done(other)]) == Written(2)
    assert await world.claims.finish([done(mine, result="2")]) == Written(0)

    found = await row(world, mine.id)
    assert (found["status"], found["fencing_token"], found["attempt"]) == ("completed", 2, 1)
    assert (found["result"], found["error"], found["finished_at"]) == ({"n": 1}, None, START + SECOND)
    assert found["consumer_id"] is not None, "who did it stays"


async def test_a_result_that_is_no_json_fails_its_batch_and_only_where_the_token_matches(
    world: World,
) -> None:
    bad, good = await claimed(world, new(), new())

    with pytest.raises(RowRefused):
        await world.claims.finish([done(bad, result="{"), done(good, result="1")])
    assert (await row(world, good.id))["status"] == "processing"
    assert await world.claims.finish([done(bad, result="{", stale=1), done(good, result="1")]) == Written(1)


async def test_a_failure_is_for_good_or_comes_back_later(world: World) -> None:
    gone, later, soon, stale = await claimed(
        world, new(), new(), new(queue=QueueName("q"), priority=2), new()
    )
    await world.advance(1)

    written = await world.claims.fail(
        [
            failing(gone),
            failing(later, delay=5 * SECOND),
            failing(soon, delay=0 * SECOND),
            failing(stale, stale=1),
        ]
    )

    assert written.rows == 3
    assert set(written.pending) == {
        Pending(later.id, DEFAULT_QUEUE, ECHO, 5, due=False, due_in=5 * SECOND),
        Pending(soon.id, QueueName("q"), ECHO, 2, due=True, due_in=timedelta()),
    }
    found = await world.rows("tasks")
    assert (found[gone.id]["status"], found[gone.id]["finished_at"]) == ("failed", START + SECOND)
    assert found[gone.id]["consumer_id"] is not None
    assert found[gone.id]["error"] == {
        "type": "ValueError",
        "message": "no",
        "at": "2026-01-01T00:00:01.000000Z",
    }
    assert (found[later.id]["status"], found[later.id]["run_at"]) == ("pending", START + 6 * SECOND)
    assert (found[later.id]["consumer_id"], found[later.id]["finished_at"]) == (None, None)
    assert (found[later.id]["attempt"], found[later.id]["fencing_token"]) == (1, 2), "it is charged"
    assert found[stale.id]["status"] == "processing"
    assert await world.claims.fail([]) == Written(0)


async def test_what_is_given_back_is_not_charged(world: World) -> None:
    now, later, stale = await claimed(world, new(), new(), new())
    await world.advance(1)

    written = await world.claims.give_back([back(now), back(later, delay=2 * SECOND), back(stale, stale=1)])

    assert written.rows == 2
    assert set(written.pending) == {
        Pending(now.id, DEFAULT_QUEUE, ECHO, 5, due=True, due_in=timedelta()),
        Pending(later.id, DEFAULT_QUEUE, ECHO, 5, due=False, due_in=2 * SECOND),
    }
    found = await world.rows("tasks")
    for claim, run_at in ((now, START), (later, START + 3 * SECOND)):
        assert (found[claim.id]["status"], found[claim.id]["run_at"]) == ("pending", run_at)
        assert (found[claim.id]["attempt"], found[claim.id]["fencing_token"]) == (0, 2)
        assert found[claim.id]["consumer_id"] is None
        assert found[claim.id]["started_at"] == START, "when the last try began stays"
    assert await world.claims.give_back([back(now), back(later), back(stale, stale=2)]) == Written(0)
    assert await world.claims.give_back([]) == Written(0)


@pytest.mark.parametrize("verb", ["finish", "fail", "give_back"])
async def test_a_write_of_an_earlier_try_is_refused_whatever_became_of_the_task(
    world: World, verb: str
) -> None:
    async def refused(claim: Claim) -> bool:
        match verb:
            case "finish":
                written = await world.claims.finish([done(claim)])
            case "fail":
                written = await world.claims.fail([failing(claim)])
            case _:
                written = await world.claims.give_back([back(claim)])
        return written == Written(0)

    again, canceled, completed = await claimed(world, new(), new(), new())
    await world.claims.give_back([back(again)])
    assert await refused(again), "pending"
    [second] = await world.claims.claim([again.id], consumer=ME, kinds=[ECHO])
    assert second.token == 3
    assert await refused(again), "running elsewhere"
    await world.tasks.cancel(canceled.id)
    assert await refused(canceled)
    await world.claims.finish([done(completed)])
    assert await refused(completed)
    found = await world.rows("tasks")
    assert {row["status"] for row in found.values()} == {"processing", "canceled", "completed"}


async def test_a_write_for_a_task_that_was_pruned_is_of_no_effect(world: World) -> None:
    [claim] = await claimed(world, new())
    await world.claims.finish([done(claim)])
    await world.advance(10)
    assert await prune(world.upkeep, SECOND, 10) == 1
    assert await world.claims.finish([done(claim)]) == Written(0)
    assert await world.claims.give_back([back(claim)]) == Written(0)
    assert await world.claims.claim([claim.id], consumer=ME, kinds=[Kind("echo")]) == []
    assert FencingToken(1) == claim.token
