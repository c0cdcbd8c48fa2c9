"""What handlers leave running: it holds up no end of their consumer, and does not outlive it."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from tests.support.consuming import Consumer, Consumers
from tests.support.counting import payload, statuses
from tests.support.eventually import eventually
from tests.support.families import gone
from tests.support.stores import Stores, new

LEAVING = "tests.support.leaving"
GRACE = 1.0


async def left(stores: Stores, consumers: Consumers, consumer: Consumer, kind: str, **facts: object) -> int:
    """The process that a handler of this kind has left behind, 0 for something else."""
    await stores.submit_and_push([new(kind, payload=payload(**facts))])
    [run] = await eventually(lambda: consumers.runs("left", pid=consumer.pid), timeout=20)
    await eventually(lambda: _is_completed(stores))
    return int(run.get("process", 0))


async def _is_completed(stores: Stores) -> bool:
    return await statuses(stores) == {"completed": 1}


@pytest.mark.parametrize(
    "kind", ["leave-spawned", "leave-forked", "leave-program", "leave-task", "leave-thread", "leave-atexit"]
)
async def test_nothing_that_a_handler_left_holds_up_a_stop_or_outlives_it(
    stores: Stores, consumers: Consumers, kind: str
) -> None:
    consumer = await consumers.start(HANDLERS=LEAVING, DRAIN_SECONDS="3")
    process = await left(stores, consumers, consumer, kind)
    status, seconds = await consumer.stop()
    assert status == 0
    assert seconds < 3 + GRACE
    if process:
        await eventually(lambda: gone(process))


@pytest.mark.parametrize("way", ["killed", "by os._exit"])
async def test_a_forked_executor_ends_with_its_consumer_however_that_ends(
    stores: Stores, consumers: Consumers, way: str
) -> None:
    consumer = await consumers.start(HANDLERS=LEAVING)
    worker = await left(stores, consumers, consumer, "leave-forked")
    assert not gone(worker), "the thread that forked it has ended, and it lives on"
    if way == "killed":
        consumer.send(signal.SIGKILL)
    else:
        await stores.submit_and_push([new("exit-process")])
    assert await consumer.ended() in {9, -signal.SIGKILL}
    await eventually(lambda: gone(worker))


@pytest.mark.parametrize("kind", ["leave-spawned", "leave-program"])
async def test_a_parent_ends_what_a_killed_child_of_its_own_had_started(
    stores: Stores, consumers: Consumers, kind: str
) -> None:
    parent = await consumers.start("--processes", "1", HANDLERS=LEAVING)
    await stores.submit_and_push([new(kind)])
    [run] = await eventually(lambda: consumers.runs("left"), timeout=20)
    psutil.Process(run["pid"]).kill()
    await eventually(lambda: gone(run["process"]))
    assert (await parent.stop())[0] == 0


async def test_a_process_with_a_session_of_its_own_lives_on(stores: Stores, consumers: Consumers) -> None:
    consumer = await consumers.start(HANDLERS=LEAVING, DRAIN_SECONDS="3")
    process = await left(stores, consumers, consumer, "leave-program", session=True)
    try:
        assert (await consumer.stop())[0] == 0
        assert not gone(process)
    finally:
        psutil.Process(process).kill()


async def test_a_program_that_was_there_before_the_consumer_is_left_alone(
    stores: Stores, consumers: Consumers, tmp_path: Path
) -> None:
    """A script starts it, and then becomes the consumer."""
    told = tmp_path / "pid"
    consumer = await consumers.start(before=f"sleep 60 2>/dev/null & echo $! > {told}")
    neighbour = int(told.read_text())
    try:
        assert (await consumer.stop())[0] == 0
        assert not gone(neighbour)
    finally:
        psutil.Process(neighbour).kill()
