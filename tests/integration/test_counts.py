"""Counts of what waits, and who is alive to run it."""

from __future__ import annotations

from datetime import datetime

import pytest

from sluice.core.task import DEFAULT_QUEUE, Kind, QueueName
from sluice.db.browse import DEPTH_CAP, KINDS_SHOWN, Depth
from tests.integration.many_rows import fill
from tests.support.stores import Stores, new


async def test_depths_count_what_waits_and_name_who_is_asked_for(stores: Stores) -> None:
    await stores.submit(
        *(new() for _ in range(3)),
        new(priority=9),
        new(delay=60.0),
        *(new(queue=QueueName("b"), priority=at) for at in (0, 9)),
    )
    await stores.claimed(new(queue=QueueName("busy")))
    names = [QueueName(name) for name in ("default", "b", "idle")]
    depths = await stores.browse.depths(names)
    assert {name: found.depth for name, found in depths.items()} == {"default": 5, "b": 2, "idle": 0}
    assert {found.counted_at for found in depths.values()} == {await _now(stores, depths)}


async def _now(stores: Stores, depths: dict[QueueName, Depth]) -> datetime:
    """When they were counted, which is not long ago."""
    [counted_at] = {found.counted_at for found in depths.values()}
    assert await stores.raw.fetchval(
        "SELECT clock_timestamp() - $1::timestamptz < interval '5 s'", counted_at
    )
    return counted_at


async def test_queues_that_hold_a_pending_task_are_named_in_order_a_few_at_a_time(stores: Stores) -> None:
    await stores.submit(
        *(new(queue=QueueName(name)) for name in ("c", "a", "b", "b")), new(queue=QueueName("d"), delay=60.0)
    )
    await stores.claimed(new(queue=QueueName("busy")))
    assert await stores.browse.queues("", 3) == ["a", "b", "c"]
    assert await stores.browse.queues("c", 3) == ["d"]
    assert await stores.browse.queues("d", 3) == []


async def test_a_depth_is_capped(stores: Stores) -> None:
    await fill(stores, DEPTH_CAP + 5, status="pending")
    found = await stores.browse.depths([DEFAULT_QUEUE])
    assert found[DEFAULT_QUEUE].depth == DEPTH_CAP


async def test_kinds_that_wait_are_named_queue_by_queue_each_from_behind_one(stores: Stores) -> None:
    a, b = QueueName("a"), QueueName("b")
    await stores.submit(
        *(new(queue=a, kind=Kind(name), priority=at) for name in ("z", "x", "y") for at in (0, 9)),
        new(queue=b, kind=Kind("x"), delay=60.0),
        new(queue=QueueName("other"), kind=Kind("x")),
    )
    await stores.claimed(new(queue=a, kind=Kind("busy")))
    assert await stores.browse.waiting_kinds([b, a], ["", "x"], 9) == [(b, "x"), (a, "y"), (a, "z")]
    assert await stores.browse.waiting_kinds([b, a], ["", ""], 3) == [(b, "x"), (a, "x"), (a, "y")]
    assert await stores.browse.waiting_kinds([b, a], ["x", "z"], 9) == []


async def test_of_a_consumers_kinds_so_many_are_named_and_fewer_of_many_consumers(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stores.consumer(kinds=["a", "b"])
    await stores.consumer(kinds=[f"k{n}" for n in range(KINDS_SHOWN + 5)])
    few, many = await stores.browse.consumers()
    assert (few.kinds, few.unnamed_kinds) == (["a", "b"], 0)
    assert (many.kinds, many.unnamed_kinds) == ([f"k{n}" for n in range(KINDS_SHOWN)], 5)
    monkeypatch.setattr("sluice.db.browse.KINDS_SHOWN_IN_ALL", 7)
    few, many = await stores.browse.consumers()
    assert (few.kinds, few.unnamed_kinds) == (["a", "b"], 0)
    assert (many.kinds, many.unnamed_kinds) == (["k0", "k1", "k2"], KINDS_SHOWN + 2)
    monkeypatch.setattr("sluice.db.browse.KINDS_SHOWN_IN_ALL", 1)
    assert [len(each.kinds) for each in await stores.browse.consumers()] == [1, 1]
