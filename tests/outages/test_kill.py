"""How soon what a killed consumer held starts elsewhere: its lease, a turn of reap, a turn of promote (U2 reap)."""

from __future__ import annotations

import signal
import time

import pytest

from tests.support.consuming import FULL, Consumers
from tests.support.counting import completed, payload
from tests.support.eventually import eventually
from tests.support.stores import Stores, new

LEASE = 30.0 if FULL else 1.0
WITHIN = LEASE + 10 if FULL else 3.0
HELD = 100 if FULL else 10
BUSY = 0.0 if FULL else 6.0
"""What a busy machine may add."""


@pytest.mark.parametrize("with_redis", [True, False], ids=["with Redis", "without Redis"])
@pytest.mark.timeout(120)
async def test_all_that_a_killed_consumer_held_starts_elsewhere_in_time(
    stores: Stores, consumers: Consumers, with_redis: bool
) -> None:
    """However long they run: the last starts before the first has ended."""
    n = HELD
    settings = {"LEASE_SECONDS": str(LEASE), **({} if with_redis else {"REDIS_URL": ""})}
    victim = await consumers.start(**settings)
    await stores.submit_and_push(
        new("nap", payload=payload(until=str(consumers.file("end")))) for _ in range(n)
    )
    await eventually(lambda: len(consumers.runs("started")) == n, timeout=20)
    heir = await consumers.start(**settings)
    await eventually(lambda: _has_lived_a_lease(stores, heir.pid), timeout=LEASE + 10)
    victim.send(signal.SIGKILL)
    killed_at = time.monotonic()
    await eventually(lambda: len(consumers.runs("started", pid=heir.pid)) == n, timeout=WITHIN + BUSY + 10)
    consumers.file("end").touch()
    await eventually(lambda: completed(stores, n))
    started = [run["at"] - killed_at for run in consumers.runs("started", pid=heir.pid)]
    assert min(started) < WITHIN + BUSY / 2
    assert max(started) < WITHIN + BUSY
    charged = await stores.raw.fetch("SELECT DISTINCT crashes, attempt FROM tasks")
    assert [tuple(row) for row in charged] == [(1, 1)]


async def _has_lived_a_lease(stores: Stores, pid: int) -> bool:
    """Only then may it judge others."""
    return bool(
        await stores.raw.fetchval(
            "SELECT now() > started_at + lease_seconds * interval '1 second' FROM consumers WHERE pid = $1",
            pid,
        )
    )
