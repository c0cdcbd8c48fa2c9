"""A handler hurts itself alone: its own task ends with a short error, its neighbours and its process go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from sluice.cli.embedded import Urls
from sluice.core.task import MAX_ERROR_BYTES, Status, TaskId
from tests.hostile.doing import DONE
from tests.hostile.handlers import RAISED, RETURNED
from tests.support.consuming import ROOT, Consumer, Consumers
from tests.support.counting import over, payload
from tests.support.eventually import eventually
from tests.support.families import family, gone
from tests.support.stores import Stores, new

HANDLERS = "tests.hostile.handlers"
DRAIN = 2.0
LATE = ("swallows cancels",)
"""Ends long after its neighbours."""


async def start(consumers: Consumers, **environment: str) -> Consumer:
    """One with these handlers."""
    settings = {"HANDLERS": HANDLERS, "DRAIN_SECONDS": str(DRAIN), "WORKER_QUEUE_MAXSIZE": "20"}
    return await consumers.start(**{**settings, **environment})


async def neighbours_complete(stores: Stores, consumers: Consumers, *, within: float = 10) -> None:
    """Whatever was done before: ordinary tasks still run."""
    good = [new(kind) for kind in ("good", "good.thread") for _ in range(5)]
    await stores.submit_and_push(good)
    wanted = {str(task.id) for task in good}
    await eventually(lambda: {run["id"] for run in consumers.runs("good")} >= wanted, timeout=within)


@pytest.mark.parametrize("kind", ["raise", "raise.thread", "raise.child"])
async def test_whatever_is_raised_fails_its_own_task(stores: Stores, consumers: Consumers, kind: str) -> None:
    consumer = await start(consumers)
    tasks = {what: new(kind, payload=payload(what=what), max_attempts=1) for what in RAISED}
    await stores.submit_and_push(tasks.values())

    await eventually(lambda: over(stores), timeout=40)
    for what, task in tasks.items():
        row = await stores.get(task.id)
        assert row.status == "failed", what
        assert row.error is not None
        assert len(row.error["message"].encode()) <= MAX_ERROR_BYTES
    await neighbours_complete(stores, consumers)
    assert consumer.events("step.failed") == []
    assert (await consumer.stop())[0] == 0


@pytest.mark.parametrize("kind", ["return", "return.child"])
async def test_whatever_is_returned_fails_its_own_task_when_it_cannot_be_kept(
    stores: Stores, consumers: Consumers, kind: str
) -> None:
    consumer = await start(consumers)
    tasks = {what: new(kind, payload=payload(what=what), max_attempts=1) for what in RETURNED}
    await stores.submit_and_push(tasks.values())

    await eventually(lambda: over(stores), timeout=40)
    for what, task in tasks.items():
        row = await stores.get(task.id)
        assert row.status == "failed", (what, row.result)
        assert (row.error or {})["type"] in {
            "UnstorableResult",
            "SystemExit",
            "RecursionError",
            "ChildDied",
        }, what
    await neighbours_complete(stores, consumers)
    assert consumer.events("step.failed") == consumer.events("task.outcome_refused") == []
    assert (await consumer.stop())[0] == 0


@pytest.mark.parametrize("what", DONE)
async def test_whatever_is_done_harms_no_neighbour_and_the_drain_ends_in_time(
    stores: Stores, consumers: Consumers, what: str
) -> None:
    consumer = await start(consumers)
    task = new("do", payload=payload(what=what), max_attempts=1, timeout=0.5 if what in LATE else 30)
    await stores.submit_and_push([task])

    async def ended() -> bool:
        return (await stores.get(task.id)).status in {"completed", "failed"}

    if what in LATE:
        await eventually(lambda: consumers.runs("swallowed"))
    else:
        await eventually(lambda: over(stores), timeout=30)
    await neighbours_complete(stores, consumers)
    status, seconds = await consumer.stop()
    assert status == 0, consumer.said
    assert seconds < DRAIN + 1


async def test_children_that_die_in_any_way_fail_their_own_task(stores: Stores, consumers: Consumers) -> None:
    consumer = await start(consumers)
    tasks = [
        new("child.exits", payload=payload(how=how, status=status), max_attempts=1)
        for how, status in (("quietly", 0), ("loudly", 7), ("fills", 1))
    ]
    await stores.submit_and_push(tasks)

    async def failed() -> bool:
        return all([(await stores.get(task.id)).status == "failed" for task in tasks])

    await eventually(failed, timeout=20)
    servers = family(consumer.pid)[1:]  # and what watches over the fork server
    for server in servers:
        os.kill(server, signal.SIGKILL)
    await eventually(lambda: all(map(gone, servers)))
    again = new("raise.child", payload=payload(what="MemoryError"), max_attempts=1)
    await stores.submit_and_push([again])
    await eventually(lambda: _failed_with(stores, again.id, "MemoryError"), timeout=20)
    await neighbours_complete(stores, consumers)
    assert (await consumer.stop())[0] == 0


async def test_a_fork_server_that_dies_as_it_is_asked_for_a_child_fails_no_task(
    stores: Stores, consumers: Consumers
) -> None:
    """Another one is asked for it."""
    consumer = await start(consumers)
    first, caught, again = [
        new("raise.child", payload=payload(what="MemoryError"), max_attempts=1) for _ in range(3)
    ]
    await stores.submit_and_push([first])
    await eventually(lambda: _failed_with(stores, first.id, "MemoryError"), timeout=20)

    children = psutil.Process(consumer.pid).children()
    (server,) = (
        child for child in children if "sluice.consumer.runs.cpu.process" in " ".join(child.cmdline())
    )
    server.send_signal(signal.SIGSTOP)
    await stores.submit_and_push([caught])
    await eventually(lambda: _is_processing(stores, caught.id))
    server.send_signal(signal.SIGKILL)
    await eventually(lambda: _failed_with(stores, caught.id, "MemoryError"), timeout=20)

    await stores.submit_and_push([again])
    await eventually(lambda: _failed_with(stores, again.id, "MemoryError"), timeout=20)
    await neighbours_complete(stores, consumers)
    assert (await consumer.stop())[0] == 0


async def _is_processing(stores: Stores, task_id: TaskId) -> bool:
    return (await stores.get(task_id)).status is Status.PROCESSING


async def _failed_with(stores: Stores, task_id: object, kind: str) -> bool:
    found = await stores.raw.fetchval("SELECT error->>'type' FROM tasks WHERE id = $1", task_id)
    return bool(found == kind)


@pytest.mark.parametrize("how", ["nobody reads", "nobody is there", "there is none"])
async def test_a_log_that_nobody_reads_stops_nothing(
    stores: Stores, urls: Urls, tmp_path: Path, consumers: Consumers, how: str
) -> None:
    """The pipe is full after 64 KiB; what cannot be written is lost and counted, and nothing waits for it."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": urls.database_url,
        "REDIS_URL": urls.redis_url,
        "REDIS_PREFIX": stores.keys.prefix,
        "HANDLERS": HANDLERS,
        "RUNS": str(tmp_path / "runs"),
        "LOG_FORMAT": "json",
        "LEASE_SECONDS": "2",
        "DRAIN_SECONDS": str(DRAIN),
    }
    command = [sys.executable, "-P", "-m", "consumer"]
    if how == "there is none":
        command = ["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", *command]
    process = subprocess.Popen(  # noqa: ASYNC220 - it is ended below
        command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    try:
        assert process.stderr is not None
        if how == "nobody is there":
            process.stderr.close()
        await neighbours_complete(stores, consumers, within=30)
        flood = new("do", payload=payload(what="floods the log"), max_attempts=1)
        await stores.submit_and_push([flood])
        await neighbours_complete(stores, consumers, within=30)

        async def flooded() -> bool:
            return (await stores.get(flood.id)).status == "completed"

        await eventually(flooded, timeout=30)
        row = await stores.get(flood.id)
        assert (row.attempt, row.crashes) == (1, 0), "its lease was kept"
        process.send_signal(signal.SIGTERM)
        await eventually(lambda: process.poll() is not None, timeout=DRAIN + 1)
        assert process.returncode == 0
        if how == "nobody reads":
            assert b'"event":"flood"' in process.stderr.read().replace(b": ", b":")
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
