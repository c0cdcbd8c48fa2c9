"""What a process holds comes back: after load, cancels, silent clients, timeouts and killed children."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import httpx2
import psutil
import pytest

from sluice.api.http.connection import HEAD_SECONDS
from sluice.core.task import NewTask
from tests.bounded.processes import ApiProcess, Held, held
from tests.support.consuming import FULL, Consumers
from tests.support.counting import over, payload
from tests.support.eventually import eventually
from tests.support.stores import Stores, new

SILENT = min(10_000 if FULL else 2000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
"""As many as this process, and the API's, may have files open for: often 1,024."""
OBJECTS = 1500
"""Caches of libraries fill with time; one object kept for each request or task would make several times as many."""
POOLED = 8
"""Connections that a pool may open later than the base line was taken; one left for each failure would be dozens."""
MEMORY = 12.0
"""MiB. A kibibyte kept for each of some ten thousand requests is 10."""


def returned(now: Held, base: Held) -> bool:
    """Whether all that can be counted is where it was."""
    assert now.tasks <= base.tasks, (now, base)
    assert now.files <= base.files + POOLED, (now, base)
    assert now.threads <= base.threads, (now, base)
    assert now.children <= base.children, (now, base)
    assert now.objects <= base.objects + OBJECTS, (now, base)
    assert now.memory <= base.memory + MEMORY, (now, base)
    return True


async def connections(stores: Stores, role: str, since: float) -> int:
    """How many connections are open under names that begin so. Others may have had some before `since`."""
    return int(
        await stores.raw.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name LIKE $1 AND backend_start >= to_timestamp($2)",
            f"sluice/{role}%",
            since,
        )
    )


async def pooled(stores: Stores, role: str, since: float, most: int) -> bool:
    """Whether there are no more of them. A server takes its time over those that were broken off."""
    return await connections(stores, role, since) <= most


def began(pid: int) -> float:
    """When the process was started, in seconds of the epoch."""
    return float(psutil.Process(pid).create_time())


async def load(client: httpx2.AsyncClient) -> None:
    """Some hundred requests of every sort, 16 at a time."""
    gate = asyncio.Semaphore(16)

    async def life() -> None:
        async with gate:
            place = (await client.post("/tasks", json={"message": "x" * 200})).headers["location"]
            await client.get(place)
            await client.patch(place, json={"status": "canceled"})
            await client.patch(place, json={"status": "pending"})
            await client.get("/tasks", params={"limit": 5})
            await client.post("/tasks", content=b"{", headers={"Content-Type": "application/json"})
            await client.get(f"/tasks/{place}")

    async with asyncio.TaskGroup() as group:
        for _ in range(60):
            group.create_task(life())
    await client.post("/tasks/batch", json={"tasks": [{"message": "x"}] * 500})
    await client.get("/health")


async def leave_in_the_middle(api: ApiProcess) -> None:
    """Clients that go away while they are answered, and with half a request said."""
    for request in (
        b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
        b"GET /tasks HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        for _ in range(50):
            _, writer = await asyncio.open_connection(*api.place)
            writer.write(request)
            await writer.drain()
            writer.transport.abort()


@pytest.mark.timeout(240)
async def test_an_api_comes_back_to_its_base_line(api: ApiProcess, stores: Stores) -> None:
    limits = httpx2.Limits(max_connections=16, max_keepalive_connections=0)
    async with httpx2.AsyncClient(
        verify=False, base_url=str(api.client.base_url), trust_env=False, timeout=30, limits=limits
    ) as client:
        for _ in range(2):
            await load(client)
            await leave_in_the_middle(api)
        base = await api.held()
        for _ in range(3):
            await load(client)
            await leave_in_the_middle(api)

    await eventually(lambda: _returned(api, base), timeout=30)
    await eventually(lambda: pooled(stores, "api", began(api.pid), 5 + 2 + 2 + 2 + 2), timeout=10)
    assert await stores.redis("KEYS", f"*{stores.keys.prefix}*") == [], "nobody is alive to have a list"


async def _returned(api: ApiProcess, base: Held) -> bool:
    return returned(await api.held(), base)


@pytest.mark.timeout(240)
async def test_clients_that_never_say_anything_are_shown_out_and_leave_nothing(api: ApiProcess) -> None:
    base = await api.held()
    clients = [await asyncio.open_connection(*api.place) for _ in range(SILENT)]
    try:
        # The kernel connects them; the process accepts them when it comes to it.
        await eventually(lambda: _files_open(api, base.files + SILENT), timeout=HEAD_SECONDS / 2)
        assert await api.alive()
        async with asyncio.timeout(HEAD_SECONDS + 15):
            for reader, _ in clients:
                assert await reader.read() == b""
    finally:
        for _, writer in clients:
            writer.transport.abort()
    await eventually(lambda: _files_back(api, base), timeout=10)
    assert await api.alive()


async def _files_open(api: ApiProcess, least: int) -> bool:
    now = await api.held()
    assert now.files >= least
    return True


async def _files_back(api: ApiProcess, base: Held) -> bool:
    now = await api.held()
    assert now.files <= base.files + 2
    assert now.tasks <= base.tasks + 1
    return True


async def hard_day(stores: Stores, consumers: Consumers) -> None:
    """Load, a storm of cancels, handlers that outlive their time in every mode, waiting for connections."""
    never = str(consumers.file("never"))
    naps = [new("nap", payload=payload(until=never)) for _ in range(25)]
    await stores.submit_and_push(naps)
    for nap in naps:
        canceled, _ = await stores.tasks.cancel(nap.id)
        await stores.signals.tell_canceled(canceled)
    tasks: list[NewTask] = [new("count") for _ in range(200)]
    for _ in range(6):
        tasks.append(new("thread", payload=payload(until=never, listens=True), timeout=0.1, max_attempts=1))
        tasks.append(new("session", payload=payload(), timeout=0.3, max_attempts=1))
        tasks.append(new("session", payload=payload(asks=True), timeout=0.3, max_attempts=1))
    for _ in range(3):
        tasks.append(new("compute", payload=payload(until=never), timeout=0.4, max_attempts=1))
        tasks.append(new("compute", payload=payload(dies=9), max_attempts=1))
    await stores.submit_and_push(tasks)

    await eventually(lambda: over(stores), timeout=40)


@pytest.mark.timeout(240)
async def test_a_consumer_comes_back_to_its_base_line(
    stores: Stores, consumers: Consumers, tmp_path: Path
) -> None:
    gauge = tmp_path / "consumer.gauge"
    consumers.cold = True  # a fork shares memory, and has imported more
    consumer = await consumers.start(
        HANDLERS="tests.support.handlers,tests.bounded.gauged",
        GAUGE=str(gauge),
        HANDLER_POOL_SIZE="3",
        WORKER_QUEUE_MAXSIZE="30",
        LEASE_SECONDS="2",
    )
    for _ in range(2):
        await hard_day(stores, consumers)
    base = await held(consumer.pid, gauge)
    for _ in range(2):
        await hard_day(stores, consumers)

    async def back() -> bool:
        return returned(await held(consumer.pid, gauge), base)

    await eventually(back, timeout=30)
    since = began(consumer.pid)
    await eventually(lambda: pooled(stores, "consumer", since, 5), timeout=10)
    await eventually(lambda: pooled(stores, "handler", since, 3), timeout=10)
    assert await connections(stores, "beat", since) == 1
    assert await stores.redis("KEYS", f"*{stores.keys.prefix}*") == []
    assert consumer.events("step.failed") == []
    assert (await consumer.stop())[0] == 0

    async def gone() -> bool:
        """A backend in the middle of a statement hears of its client's end when the statement's time is over."""
        return await pooled(stores, "consumer", since, 0) and await pooled(stores, "handler", since, 0)

    await eventually(gone)
