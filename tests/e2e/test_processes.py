"""`--processes N`: a parent that keeps consumers running, ends them, and takes them along when it dies."""

from __future__ import annotations

import signal
import time

import psutil
import pytest

from tests.support.consuming import HANDLERS, Consumers
from tests.support.counting import charged, payload, statuses
from tests.support.databases import named
from tests.support.eventually import eventually
from tests.support.families import children, family, gone
from tests.support.proxy import proxied
from tests.support.stores import Stores, new

N = 3


async def _pids(stores: Stores) -> set[int]:
    """The consumers that live, as their rows say."""
    return {consumer.pid for consumer in await stores.browse.consumers()}


async def _all_live(stores: Stores) -> set[int]:
    pids = await _pids(stores)
    return pids if len(pids) == N else set()


async def test_a_child_that_is_killed_is_replaced_within_two_seconds(
    stores: Stores, consumers: Consumers
) -> None:
    parent = await consumers.start("--processes", str(N), LEASE_SECONDS="2")
    pids = await eventually(lambda: _all_live(stores))
    assert pids == children(parent.pid)
    victim = min(pids)
    began = time.monotonic()
    psutil.Process(victim).kill()
    await eventually(lambda: len(children(parent.pid) - {victim}) == N)
    assert time.monotonic() - began < 2
    await parent.event("consumer.replaced", status=-signal.SIGKILL)
    await eventually(lambda: _replaced(stores, pids, victim), timeout=20)
    assert (await parent.stop())[0] == 0
    assert await _pids(stores) <= {victim}


async def _replaced(stores: Stores, before: set[int], victim: int) -> bool:
    now = await _pids(stores)
    return before - {victim} < now and len(now - {victim}) == N


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_the_parent_drains_every_child(
    stores: Stores, consumers: Consumers, number: signal.Signals
) -> None:
    parent = await consumers.start("--processes", str(N), WORKER_QUEUE_MAXSIZE="2")
    pids = await eventually(lambda: _all_live(stores))
    await stores.submit_and_push(
        new("nap", payload=payload(until=str(consumers.file("end")))) for _ in range(2 * N)
    )
    await eventually(lambda: len(consumers.runs("started")) == 2 * N)
    assert {run["pid"] for run in consumers.runs("started")} == pids
    parent.send(number)
    await eventually(lambda: len(parent.events("consumer.draining")) == N)
    consumers.file("end").touch()
    assert await parent.ended() == 0
    assert await statuses(stores) == {"completed": 2 * N}
    assert await charged(stores) == 0
    assert all(map(gone, pids))


async def test_killing_the_parent_takes_everybody_along(stores: Stores, consumers: Consumers) -> None:
    parent = await consumers.start("--processes", "2", WORKER_QUEUE_MAXSIZE="2", LEASE_SECONDS="1")
    never = str(consumers.file("never"))
    await stores.submit_and_push(
        new(kind, payload=payload(until=never)) for kind in ("thread", "compute") * 2
    )
    await eventually(lambda: len(consumers.runs("started")) == 4, timeout=20)
    everybody = family(parent.pid)[1:]
    assert len(everybody) >= 2 + 2, "children, and the children of their computing"
    parent.send(signal.SIGKILL)
    await parent.ended()
    await eventually(lambda: all(map(gone, everybody)))


async def test_children_that_cannot_start_end_the_parent_with_their_reason(consumers: Consumers) -> None:
    parent = await consumers.launch("--processes", "2", HANDLERS="no_such_module")
    assert await parent.ended(within=20) == 1
    assert set(parent.said) == {
        f"sluice consumer: HANDLERS: there is no module no_such_module on the import path or in {consumers.file('')}"
    }


async def test_a_mistake_that_takes_its_time_to_be_found_ends_the_parent_too(
    stores: Stores, consumers: Consumers, database_url: str
) -> None:
    consumers.file("slow.py").write_text(f"import time\nfrom {HANDLERS} import *\ntime.sleep(2.2)\n")
    name = f"bare_{stores.keys.prefix.replace('-', '_')}"
    await stores.raw.execute(f'CREATE DATABASE "{name}"')
    try:
        parent = await consumers.launch(
            "--processes", "2", HANDLERS="slow", DATABASE_URL=named(database_url, name)
        )
        assert await parent.ended(within=20) == 1
    finally:
        await stores.raw.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    assert parent.events("consumer.replaced") == []
    [line] = await eventually(lambda: parent.said)
    assert line.startswith("sluice consumer: the database is empty")


async def test_a_signal_ends_a_parent_that_waits_for_postgresql(
    consumers: Consumers, database_url: str
) -> None:
    async with proxied(database_url) as proxy:
        proxy.hang()
        parent = await consumers.launch("--processes", "2", DATABASE_URL=proxy.url)
        await eventually(lambda: proxy.connections)
        status, seconds = await parent.stop()
    assert status == 0
    assert seconds < 1


async def test_no_number_of_processes_is_wrong_usage(consumers: Consumers) -> None:
    parent = await consumers.launch("--processes", "0")
    assert await parent.ended(within=20) == 2
    assert "it must be 1 to 256" in parent.said[-1]
