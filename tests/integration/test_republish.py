"""Pending rows whose id is not on its way are pushed again, whatever became of it (U4)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from consumer.upkeep.republish import SAMPLES, SHORT, STEP, Republish
from core.events import Garbage
from core.ids import new_consumer_id, new_task_id
from core.task import DEFAULT_QUEUE, QueueName, ReadyList, TaskId
from tests.integration.republishing import (
    MANY,
    backlog,
    lose,
    new_republish,
    pushed,
    start,
    turn,
    turns,
)
from tests.support.stores import DEFAULT_LIST, ECHO, Stores, new


@pytest.fixture
async def republish(stores: Stores) -> Republish:
    await stores.upkeep.add_steps([STEP])
    await stores.consumer()
    return new_republish(stores)


async def test_a_list_that_lost_nothing_is_left_alone(stores: Stores, republish: Republish) -> None:
    ids = await backlog(stores, MANY)
    await turns(stores, republish)
    assert await stores.ready.pop([DEFAULT_LIST], 2 * MANY) == (DEFAULT_LIST, ids)
    assert stores.events == []


async def test_ids_lost_from_the_middle_come_back_once_the_list_is_past_them(
    stores: Stores, republish: Republish
) -> None:
    ids = await backlog(stores, MANY + 60)
    lost = ids[20:30]
    await lose(stores, lost)
    await turns(stores, republish)
    assert pushed(stores) == 0, "nobody waits for them yet"
    assert await start(stores, 40) == ids[:20] + ids[30:50]
    await turns(stores, republish)
    assert pushed(stores) == 10, "and no other id was pushed"
    assert await start(stores, 12) == [*lost, *ids[50:52]], "at the old end, the oldest outermost"


async def test_slack_is_left_for_ids_that_are_on_their_way(stores: Stores, republish: Republish) -> None:
    """Popped and not yet claimed, or committed and not yet pushed: pending, unlisted, and not lost."""
    ids = await backlog(stores, MANY)
    await stores.ready.pop([DEFAULT_LIST], 3)
    await turns(stores, republish)
    assert pushed(stores) == 0
    await stores.ready.pop([DEFAULT_LIST], 3)
    await turns(stores, republish)
    found = await stores.ready.pop([DEFAULT_LIST], 4)
    assert found == (DEFAULT_LIST, [*ids[:3], ids[6]]), "three seconds before the oldest that is listed"


async def test_after_a_flush_everything_due_is_pushed_in_its_order(
    stores: Stores, republish: Republish
) -> None:
    high = ReadyList(DEFAULT_QUEUE, 9)
    other = ReadyList(QueueName("other"), 5)
    normal = await backlog(stores, 20, listed=False)
    urgent = await backlog(stores, 10, listed=False, priority=9)
    elsewhere = await backlog(stores, 5, listed=False, queue=other.queue)
    early, fresh = new(delay=60.0), new()
    await stores.submit(early, fresh)
    await stores.tasks.cancel(normal.pop(7))
    taken = normal.pop(3)
    await stores.claims.claim([taken], consumer=new_consumer_id(), kinds=[ECHO])

    await turn(stores, republish)

    for ready, ids in ((DEFAULT_LIST, normal), (high, urgent), (other, elsewhere)):
        assert await stores.ready.pop([ready], 100) == (ready, ids)


async def test_nothing_is_written_to_tasks(stores: Stores, republish: Republish) -> None:
    await backlog(stores, 50, listed=False)
    before = await stores.raw.fetch("SELECT id, xmin::text, ctid FROM tasks ORDER BY id")
    await turns(stores, republish)
    assert pushed(stores) > 0
    assert await stores.raw.fetch("SELECT id, xmin::text, ctid FROM tasks ORDER BY id") == before


async def test_stale_entries_at_the_old_end_are_removed_and_hide_nothing(
    stores: Stores, republish: Republish
) -> None:
    """Canceled, taken, gone, delayed, of another list: none of them says how far the list has come."""
    ids = await backlog(stores, MANY + 30)
    lost = ids[12]
    await lose(stores, [lost])
    for task_id in ids[:4]:
        await stores.tasks.cancel(task_id)
    await stores.claims.claim(ids[4:8], consumer=new_consumer_id(), kinds=[ECHO])
    await stores.raw.execute("DELETE FROM tasks WHERE id = ANY ($1)", ids[8:12])
    await stores.raw.execute(
        "UPDATE tasks SET run_at = now() + interval '1 hour' WHERE id = ANY ($1)", ids[13:15]
    )
    await stores.raw.execute("UPDATE tasks SET priority = 1 WHERE id = $1", ids[15])
    await stores.raw.execute("UPDATE tasks SET run_at = run_at - interval '1 minute' WHERE id = $1", lost)

    await turns(stores, republish)

    assert await stores.ready.pop([DEFAULT_LIST], 3) == (DEFAULT_LIST, [lost, *ids[16:18]])
    assert await stores.ready.length(DEFAULT_LIST) == len(ids) - 18, "and nothing else was pushed"


async def test_a_list_of_nothing_but_stale_entries_is_dropped_and_filled_again(
    stores: Stores, republish: Republish
) -> None:
    gone = [new_task_id() for _ in range(sum(SAMPLES))]
    ids = await backlog(stores, 30, listed=False)
    await stores.ready.push({DEFAULT_LIST: [*gone, *ids[:10]]})
    await turn(stores, republish)
    assert await stores.ready.pop([DEFAULT_LIST], 100) == (DEFAULT_LIST, ids)


async def test_garbage_at_the_old_end_is_removed_and_counted(stores: Stores, republish: Republish) -> None:
    ids = await backlog(stores, MANY)
    key = stores.keys.ready(DEFAULT_LIST)
    await stores.redis("RPUSH", key, b"rubbish", b"\xff\xfe", b"")
    await turn(stores, republish)
    assert stores.events == [Garbage(3, where="default:5")]
    assert await stores.ready.length(DEFAULT_LIST) == MANY
    assert await stores.ready.pop([DEFAULT_LIST], 1) == (DEFAULT_LIST, ids[:1])


async def test_a_key_of_another_type_is_replaced_by_the_list(stores: Stores, republish: Republish) -> None:
    ids = await backlog(stores, 10, listed=False)
    await stores.redis("SET", stores.keys.ready(DEFAULT_LIST), "text")
    await turn(stores, republish)
    assert Garbage(1, where=stores.keys.ready(DEFAULT_LIST)) in stores.events
    assert await stores.ready.pop([DEFAULT_LIST], 100) == (DEFAULT_LIST, ids)


async def test_a_list_that_runs_dry_gets_what_it_lacks_and_its_duplicates_are_bounded(
    stores: Stores, republish: Republish
) -> None:
    ids = await backlog(stores, 300)
    lost = ids[280:]
    await lose(stores, lost)
    await turns(stores, republish, 20)
    entries = await stores.entries()
    assert set(entries) == set(map(str, ids)), "the lost ones are back, though the list is far from them"
    assert len(entries) <= 300 + 2 * SHORT
    length = len(entries)
    await turns(stores, republish, 20)
    assert await stores.ready.length(DEFAULT_LIST) <= length + SHORT


async def test_only_kinds_that_a_live_consumer_serves_are_pushed(
    stores: Stores, republish: Republish
) -> None:
    served = await backlog(stores, 3, listed=False)
    await backlog(stores, 3, listed=False, kind="nobodys")
    await backlog(stores, 3, listed=False, kind="the-deads")
    dead = await stores.consumer(kinds=["the-deads"])
    await stores.raw.execute("UPDATE consumers SET expires_at = now() WHERE id = $1", dead)
    await turn(stores, republish)
    assert await stores.ready.pop([DEFAULT_LIST], 100) == (DEFAULT_LIST, served)


async def test_rows_of_unserved_kinds_do_not_hold_up_those_behind_them(
    stores: Stores, republish: Republish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.upkeep.republish.CHUNK", 10)
    await backlog(stores, 35, listed=False, kind="nobodys")
    ids = await backlog(stores, 3, listed=False)
    for _ in range(4):
        assert await turn(stores, republish) <= timedelta(seconds=2)
    assert await stores.ready.pop([DEFAULT_LIST], 100) == (DEFAULT_LIST, ids)


async def test_a_long_refill_goes_on_chunk_by_chunk_whoever_takes_the_turn(
    stores: Stores, republish: Republish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.upkeep.republish.CHUNK", 10)
    monkeypatch.setattr("consumer.upkeep.republish.SHORT", 15)
    ids = await backlog(stores, 95, listed=False)
    started: list[TaskId] = []
    for _ in range(200):
        assert await turn(stores, new_republish(stores)) <= timedelta(seconds=2)
        if await stores.ready.length(DEFAULT_LIST):
            started += await start(stores, 4)
        if len(set(started)) == 95:
            break
    assert started[:4] == ids[:4], "the oldest first"
    assert set(started) == set(ids), "none was left out"
    assert len(started) < 1.5 * 95, "and few were pushed twice"


async def test_the_same_rows_are_not_pushed_again_within_the_slack(
    stores: Stores, republish: Republish
) -> None:
    """The ids were popped the moment they were pushed, and their claim is on its way."""
    ids = await backlog(stores, 5, listed=False)
    await turn(stores, republish)
    assert await stores.ready.pop([DEFAULT_LIST], 100) == (DEFAULT_LIST, ids)
    await turn(stores, republish)
    await turn(stores, republish)
    assert await stores.entries() == []
    await turns(stores, republish, 2)
    assert await stores.ready.pop([DEFAULT_LIST], 100) == (DEFAULT_LIST, ids), "lost again: pushed again"


async def test_a_turn_is_taken_by_one_process(stores: Stores, republish: Republish) -> None:
    ids = await backlog(stores, 50, listed=False)
    await asyncio.gather(*(new_republish(stores).step() for _ in range(6)))
    assert await stores.ready.pop([DEFAULT_LIST], 1000) == (DEFAULT_LIST, ids)
