"""CPU-bound handlers in a consumer: signals to everybody, a fork server that is stopped, a consumer that is killed."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import psutil
import pytest

from sluice.core.process.signals import STOPS
from sluice.core.task import TaskId
from tests.support.consuming import HANDLERS, Consumer, Consumers
from tests.support.counting import charged, payload, statuses
from tests.support.eventually import eventually
from tests.support.families import family, gone
from tests.support.stores import Stores, new

GRACE = 1.0


async def computing(
    stores: Stores, consumers: Consumers, n: int = 1, kind: str = "compute", until: str = "end"
) -> list[TaskId]:
    """Tasks that compute until the file `until` is there, once they do."""
    ids = await stores.submit_and_push(
        new(kind, payload=payload(until=str(consumers.file(until))), max_attempts=1) for _ in range(n)
    )
    await eventually(lambda: len(consumers.runs("started")) >= n, timeout=20)
    return ids


def fork_server(consumer: Consumer) -> psutil.Process:
    [server] = [
        child
        for child in psutil.Process(consumer.pid).children()
        if "sluice.consumer.runs.cpu.process" in child.cmdline()[-1]
    ]
    return server


def has_taken_signals(pid: int) -> bool:
    """Whether what was sent to the process has arrived there."""
    try:
        facts = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    return not any(int(mask, 16) for mask in re.findall("Pnd:\t(.+)", facts))


@pytest.mark.parametrize("number", STOPS)
async def test_a_signal_to_the_group_drains_and_lets_what_computes_end(
    stores: Stores, consumers: Consumers, number: signal.Signals
) -> None:
    consumer = await consumers.start()
    await computing(stores, consumers, 2)
    everybody = family(consumer.pid)
    os.killpg(consumer.pid, number)
    await consumer.event("consumer.draining")
    await eventually(lambda: all(map(has_taken_signals, everybody)))
    consumers.file("end").touch()
    assert await consumer.ended() == 0
    assert await statuses(stores) == {"completed": 2}
    assert await charged(stores) == 0


async def test_a_signal_to_every_process_drains_and_lets_what_computes_end(
    stores: Stores, consumers: Consumers
) -> None:
    """As a service manager does that signals a whole unit, parents and children alike."""
    parent = await consumers.start("--processes", "1")
    await computing(stores, consumers, 2)
    everybody = family(parent.pid)
    for pid in everybody:
        os.kill(pid, signal.SIGTERM)
    await parent.event("consumer.draining")
    await eventually(lambda: all(map(has_taken_signals, everybody)))
    consumers.file("end").touch()
    assert await parent.ended() == 0
    assert await statuses(stores) == {"completed": 2}
    assert await charged(stores) == 0


async def test_what_does_not_end_in_time_after_a_signal_to_the_group_is_not_charged(
    stores: Stores, consumers: Consumers
) -> None:
    consumer = await consumers.start(DRAIN_SECONDS="0.3")
    await computing(stores, consumers, 2)
    os.killpg(consumer.pid, signal.SIGTERM)
    assert await consumer.ended() == 0
    assert await statuses(stores) == {"pending": 2}
    assert await charged(stores) == 0


async def test_a_stopped_fork_server_holds_up_neither_other_tasks_nor_the_stop(
    stores: Stores, consumers: Consumers
) -> None:
    consumer = await consumers.start(DRAIN_SECONDS="1")
    [canceled, _] = await computing(stores, consumers, 2)
    server = fork_server(consumer)
    server.suspend()
    try:
        await stores.tasks.cancel(canceled)
        await stores.submit_and_push([new("count")])
        await eventually(lambda: consumers.runs("ran"))
        status, seconds = await consumer.stop()
        assert status == 0
        assert seconds < 1 + GRACE
        assert await statuses(stores) == {"canceled": 1, "completed": 1, "pending": 1}
        assert await charged(stores) == 0
        await eventually(lambda: gone(server.pid))
    finally:
        if not gone(server.pid):
            server.kill()


@pytest.mark.parametrize("stopped", [False, True], ids=["works", "stopped"])
async def test_a_killed_consumer_takes_its_fork_server_and_all_that_handlers_started_along(
    stores: Stores, consumers: Consumers, stopped: bool
) -> None:
    consumer = await consumers.start(HANDLERS=f"{HANDLERS},tests.support.leaving")
    await computing(stores, consumers, kind="compute-beside")
    server = fork_server(consumer)
    everybody = [process.pid for process in server.children(recursive=True)]
    assert len(everybody) >= 3, "the resource tracker, the child and what it started"
    if stopped:
        server.suspend()
        await eventually(lambda: server.status() == psutil.STATUS_STOPPED)
    consumer.send(signal.SIGKILL)
    await consumer.ended()
    await eventually(lambda: all(map(gone, [server.pid, *everybody])))
