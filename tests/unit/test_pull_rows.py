from __future__ import annotations

import asyncio

from sluice.consumer.intake.scan import ALONE, BUSY, IDLE
from sluice.core.events import StoreLost
from tests.unit.pulling import Scene, beside, scene
from tests.unit.support import settled, task_id, virtual


@scene
async def test_when_redis_is_lost_rows_are_claimed_and_when_it_is_back_its_lists_are_popped(s: Scene) -> None:
    s.redis.away = True
    await asyncio.sleep(1.1)
    s.rows.waiting = [7, 8]
    await asyncio.sleep(0.7)
    assert s.rows.claimed == [7, 8]
    assert s.rows.scans[-1][1] is ALONE
    assert s.events.of(StoreLost) == [StoreLost("Redis", doing="pull", reason="gone")]

    s.redis.away = False
    await s.redis_health.step()
    s.redis.ids = [1]
    await asyncio.sleep(0.4)
    assert s.waiting() == [task_id(1)]


@virtual
async def test_at_the_start_lists_come_before_the_rows_that_a_look_has_found() -> None:
    """What they hold is no loss; claimed by the rows it would leave its hints behind."""
    s = Scene()
    s.open = False
    s.rows.waiting = s.redis.ids = [1, 2]

    async def start(s: Scene) -> None:
        await asyncio.sleep(0.1)
        assert s.rows.found
        s.open = True
        await asyncio.sleep(0.2)
        assert s.waiting() == [task_id(1), task_id(2)]
        assert s.rows.told == [] or s.rows.told[0] is not None

    await beside(s, start)


@virtual
async def test_claims_by_the_rows_are_for_free_slots_alone_and_take_them_before_they_ask() -> None:
    s = Scene(without_redis=True)
    s.capacity.take(1)
    s.rows.waiting = [1, 2, 3, 4]

    async def look(s: Scene) -> None:
        await asyncio.sleep(0.0005)
        assert s.capacity.free == 0
        await asyncio.sleep(0.01)
        assert s.rows.claims == [3]
        assert s.rows.claimed == [1, 2, 3]

        s.capacity.release()
        await asyncio.sleep(0.01)
        assert s.rows.claims == [3, 1]

    await beside(s, look)


@virtual
async def test_claims_by_the_rows_run_ahead_of_quick_handlers() -> None:
    """As claims of hints do: else PostgreSQL rests while handlers run, and handlers while it claims."""
    s = Scene(capacity=100)
    for _ in range(100):
        s.capacity.took(0.001)
    s.rows.waiting = list(range(1000))

    async def look(s: Scene) -> None:
        await asyncio.sleep(1)
        assert s.rows.claims[:2] == [100, 100], "one hundred runs while the other is claimed"
        assert s.capacity.free == -100

    await beside(s, look)


@virtual
async def test_slots_that_no_row_needed_are_free_again() -> None:
    s = Scene(without_redis=True)
    s.rows.waiting = [1]

    async def look(s: Scene) -> None:
        await asyncio.sleep(0.01)
        assert s.capacity.free == 3
        assert s.rows.claims == [4]

    await beside(s, look)


@scene
async def test_rows_are_looked_at_more_often_the_more_depends_on_it(s: Scene) -> None:
    await asyncio.sleep(2.5)
    assert {every for _, every in s.rows.scans} == {IDLE}
    s.redis.ids = list(range(4))
    await asyncio.sleep(6)
    assert s.rows.scans[-1][1] is BUSY, "the lists brought work, and the consumer is full of it"


@scene
async def test_rows_are_looked_at_as_soon_as_lists_that_brought_work_bring_none(s: Scene) -> None:
    """As when Redis begins to refuse what is pushed: what was accepted since waits for no look of a busy consumer."""
    s.redis.ids = list(range(4))
    await asyncio.sleep(2.5)
    s.empty()
    s.pull_bell.ring()
    s.rows.waiting = [5]
    assert s.rows.scans[-1][1] is BUSY
    await asyncio.sleep(1.5)
    assert s.rows.claimed == [5]
    looks = len(s.rows.scans)
    await asyncio.sleep(3)
    assert len(s.rows.scans) <= looks + 3, "once"


@scene
async def test_rows_are_looked_at_soon_while_lists_hold_what_is_over(s: Scene) -> None:
    """Ids of tasks that were canceled may lie there for long, and what is pushed behind them is reached late."""
    s.redis.ids = list(range(1000))
    s.rows.brought(4)
    await asyncio.sleep(6)
    assert s.rows.scans[-1][1] is BUSY
    looked = len(s.rows.scans)

    s.rows.brought(0)
    await asyncio.sleep(0.01)
    assert len(s.rows.scans) == looked + 1, "at once"
    await asyncio.sleep(2.5)
    assert {every for _, every in s.rows.scans[looked:]} == {IDLE}

    s.rows.brought(1)
    await asyncio.sleep(2)
    assert s.rows.scans[-1][1] is BUSY


@scene
async def test_an_idle_consumer_takes_what_a_look_finds_at_once(s: Scene) -> None:
    """Though it waits at the lists' server."""
    await asyncio.sleep(1.5)
    s.rows.waiting = [1, 2]
    looked = len(s.rows.scans)
    while len(s.rows.scans) == looked:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.15)
    assert s.rows.claimed == [1, 2]
    assert s.rows.told == [None]


@virtual
async def test_rows_and_lists_take_turns_while_both_bring_work() -> None:
    s = Scene()
    s.redis.ids = list(range(100, 200))
    s.rows.waiting = list(range(100))

    async def work() -> None:
        for _ in range(10):
            await settled()
            await asyncio.sleep(0.1)
            s.empty()
            s.capacity.release(s.capacity.slots - s.capacity.free)

    async def test(s: Scene) -> None:
        await work()
        assert len(s.rows.claimed) >= 16
        assert len(s.redis.asked) >= 4
        popped = [popped.ids for popped in s.rows.told[1:] if popped is not None]
        assert len(popped) >= 3, "each claim by the rows is told what the lists brought"

    await beside(s, test)


@virtual
async def test_hints_that_still_wait_when_redis_is_lost_keep_their_slots() -> None:
    s = Scene()
    s.redis.ids = [1, 2, 3]

    async def look(s: Scene) -> None:
        await settled()
        s.redis.away = True
        s.rows.waiting = list(range(10, 20))
        await asyncio.sleep(2)
        assert s.rows.claims == [1]

    await beside(s, look)


@virtual
async def test_a_claim_that_fails_frees_its_slots_and_is_tried_again_after_a_pause() -> None:
    s = Scene(without_redis=True)
    s.rows.waiting = [1]
    s.rows.fails = True

    async def look(s: Scene) -> None:
        await asyncio.sleep(0.1)
        assert s.capacity.free == 4
        assert s.events.all == [StoreLost("PostgreSQL", doing="claim", reason="gone")]
        assert s.rows.claims == [4]
        await asyncio.sleep(1)
        assert 3 <= len(s.rows.claims) <= 5

    await beside(s, look)
