"""The consumers' rows: alive until a lease after the last beat, and never again after that (L1 rows)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from sluice.core.ids import new_consumer_id
from sluice.core.task import DEFAULT_QUEUE, JsonText, Kind
from sluice.db.browse import Served
from sluice.db.consumers import Registration, ServedKind
from tests.support.eventually import eventually
from tests.support.stores import Stores

SCHEMA = JsonText('{"type":"object","properties":{"to":{"type":"string"}}}')


async def _left(stores: Stores) -> float:
    return float(
        await stores.raw.fetchval("SELECT extract(epoch FROM expires_at - clock_timestamp()) FROM consumers")
    )


async def test_a_consumer_is_alive_for_its_own_lease(stores: Stores) -> None:
    me = new_consumer_id()
    facts = Registration("here", 77, [DEFAULT_QUEUE], [Kind("a"), Kind("b")], 9, timedelta(seconds=12))
    await stores.consumers.register(me, facts)
    assert 11 < await _left(stores) <= 12
    [seen] = await stores.browse.consumers()
    assert (seen.id, seen.host, seen.pid, seen.queues) == (me, "here", 77, ["default"])
    assert (seen.running, seen.capacity) == (0, 9)


async def test_a_beat_renews_the_lease_and_tells_how_many_run(stores: Stores) -> None:
    me = await stores.consumer(lease=timedelta(seconds=60))
    await stores.raw.execute("UPDATE consumers SET expires_at = now() + interval '1 second'")
    [before] = await stores.browse.consumers()
    assert await stores.consumers.beat(me, 5)
    assert 59 < await _left(stores) <= 60
    [after] = await stores.browse.consumers()
    assert after.running == 5
    assert after.beat_at > before.beat_at


async def test_a_beat_after_the_lease_renews_it_unless_others_have_judged(stores: Stores) -> None:
    me = await stores.consumer(lease=timedelta(milliseconds=100))
    await eventually(lambda: _expired(stores))
    assert await stores.browse.consumers() == []
    assert await stores.consumers.beat(me, 0), "the database's clock may have stepped"
    assert len(await stores.browse.consumers()) == 1

    await stores.dies(me)
    assert not await stores.consumers.beat(me, 0)
    assert await stores.browse.consumers() == []
    facts = Registration("host", 1, [DEFAULT_QUEUE], [], 1, timedelta(seconds=30))
    await stores.consumers.register(me, facts)
    assert not await stores.consumers.beat(me, 0), "registering again revives nobody"
    assert not await stores.consumers.beat(new_consumer_id(), 0), "nor is a stranger alive"


async def _expired(stores: Stores) -> bool:
    return await _left(stores) < 0


async def test_a_consumer_that_ends_takes_its_row_along(stores: Stores) -> None:
    me, other = await stores.consumer(), await stores.consumer()
    await stores.consumers.unregister(me)
    await stores.consumers.unregister(me)
    assert [consumer.id for consumer in await stores.browse.consumers()] == [other]


async def test_the_kinds_are_there_for_the_api_to_check_against(stores: Stores) -> None:
    served = [ServedKind(Kind("mail"), SCHEMA, 8, 30.0), ServedKind(Kind("echo"), None, None, None)]
    await stores.consumers.register_kinds(served)
    assert await stores.browse.kinds() == {
        "mail": Served(Kind("mail"), {"type": "object", "properties": {"to": {"type": "string"}}}, 8, 30.0),
        "echo": Served(Kind("echo"), None, None, None),
    }


async def test_kinds_that_stayed_the_same_are_not_written_again(stores: Stores) -> None:
    served = [ServedKind(Kind("mail"), SCHEMA, None, 30.0), ServedKind(Kind("echo"), None, 3, None)]
    await stores.consumers.register_kinds(served)
    before = await stores.raw.fetch("SELECT kind, xmin::text, updated_at FROM kinds ORDER BY kind")
    await stores.consumers.register_kinds(served)
    assert await stores.raw.fetch("SELECT kind, xmin::text, updated_at FROM kinds ORDER BY kind") == before


async def test_the_newest_registration_of_a_kind_holds(stores: Stores) -> None:
    for schema, attempts, timeout in (
        (None, None, None),
        (SCHEMA, None, None),
        (SCHEMA, 2, None),
        (None, 2, 1.5),
        (None, 2, 2.5),
    ):
        await stores.consumers.register_kinds([ServedKind(Kind("mail"), schema, attempts, timeout)])
        found = (await stores.browse.kinds())[Kind("mail")]
        assert (found.schema is None, found.max_attempts, found.timeout) == (
            schema is None,
            attempts,
            timeout,
        )


async def test_kinds_are_written_in_one_order_so_that_consumers_that_start_at_once_never_deadlock(
    stores: Stores,
) -> None:
    first, last = Kind("a"), Kind("z")
    await stores.consumers.register_kinds([ServedKind(kind, None, 1, None) for kind in (first, last)])
    async with stores.raw.transaction():
        await stores.raw.execute("SELECT FROM kinds WHERE kind = $1 FOR UPDATE", first)
        registering = asyncio.gather(
            stores.consumers.register_kinds([ServedKind(kind, None, 2, None) for kind in (last, first)])
        )
        await stores.waited_for()
        await stores.raw.execute("SELECT FROM kinds WHERE kind = $1 FOR UPDATE NOWAIT", last)
    await registering
    assert {served.max_attempts for served in (await stores.browse.kinds()).values()} == {2}


async def test_a_kind_that_stays_as_it_is_waits_for_nobody_who_holds_its_row_locked(stores: Stores) -> None:
    """A consumer could not start for as long."""
    [known, changes] = [ServedKind(Kind(name), SCHEMA, 3, None) for name in ("known", "changes")]
    await stores.consumers.register_kinds([known, changes])
    async with stores.raw.transaction():
        await stores.raw.execute("SELECT FROM kinds WHERE kind = 'known' FOR UPDATE")
        async with asyncio.timeout(2):
            await stores.consumers.register_kinds([known, replace(changes, max_attempts=4)])
    assert await stores.raw.fetchval("SELECT max_attempts FROM kinds WHERE kind = 'changes'") == 4
