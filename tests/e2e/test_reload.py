"""`--reload`: consumers drain and begin anew when code changes, and wait for the save that mends it."""

from __future__ import annotations

import signal

import pytest

from sluice.core.task import TaskId
from tests.support.consuming import HANDLERS, Consumer, Consumers
from tests.support.counting import charged, completed, payload
from tests.support.eventually import eventually
from tests.support.families import family, gone
from tests.support.saving import save
from tests.support.stores import Stores, new

MINE = f"""
from {HANDLERS} import *
from parts.versions import VERSION


@handler("count")
async def count(ctx: Context, payload: dict) -> int:
    return VERSION
"""


@pytest.fixture
def project(consumers: Consumers) -> Consumers:
    """A module of handlers, `mine`, and a package of which it imports what its kind `count` returns."""
    consumers.file("parts").mkdir()
    write(consumers, version=1)
    consumers.file("mine.py").write_text(MINE)
    return consumers


def write(consumers: Consumers, *, version: int) -> None:
    save(consumers.file("parts/versions.py"), f"VERSION = {version}\n")


async def result(stores: Stores) -> object:
    """What the kind `count` returns now."""
    [task_id] = await stores.submit_and_push([new("count")])
    return await eventually(lambda: _result(stores, task_id))


async def _result(stores: Stores, task_id: TaskId) -> object:
    return (await stores.get(task_id)).result


async def started(consumer: Consumer, times: int) -> None:
    await eventually(lambda: len(consumer.events("consumer.started")) >= times, timeout=20)


async def test_what_runs_ends_first_and_what_was_saved_meanwhile_runs_next(
    stores: Stores, project: Consumers
) -> None:
    parent = await project.start("--reload", HANDLERS="mine")
    assert await result(stores) == 1
    await stores.submit_and_push([new("nap", payload=payload(until=str(project.file("end"))))])
    await eventually(lambda: project.runs("started"))
    write(project, version=2)
    await parent.event("consumer.draining", running=1)
    write(project, version=3)
    await eventually(lambda: len(parent.events("consumer.reloading", changed=["parts/versions.py"])) >= 2)
    assert len(family(parent.pid)) == 2, "no second consumer beside the one that drains"
    project.file("end").touch()
    await started(parent, 2)
    assert await result(stores) == 3
    everybody = family(parent.pid)
    assert (await parent.stop())[0] == 0
    assert all(map(gone, everybody))
    assert (len(parent.events("consumer.started")), project.runs("canceled")) == (2, [])
    assert await completed(stores, 3)
    assert await charged(stores) == 0


async def test_a_mistake_is_told_once_with_its_line_and_the_save_that_mends_it_is_run(
    stores: Stores, project: Consumers
) -> None:
    versions = project.file("parts/versions.py")
    versions.write_text("VERSION = 1\nVERSION = = 2\n")
    parent = await project.launch("--reload", "--processes", "2", HANDLERS="mine")
    await eventually(lambda: len(parent.said) == 2, timeout=20)
    assert parent.said == [
        f"sluice consumer: HANDLERS: importing mine raised SyntaxError: invalid syntax ({versions}:2)",
        "sluice consumer: waiting for the next save of a .py file",
    ]
    write(project, version=2)
    await started(parent, 2)
    assert await result(stores) == 2
    everybody = family(parent.pid)
    assert len(everybody) == 4
    parent.send(signal.SIGKILL)
    await parent.ended()
    await eventually(lambda: all(map(gone, everybody)))
    assert len(parent.said) == 2


async def test_a_wrong_setting_ends_it_as_it_ends_a_consumer(project: Consumers) -> None:
    parent = await project.launch("--reload", WORKER_QUEUE_MAXSIZE="0")
    assert await parent.ended() == 1
    [line] = await eventually(lambda: parent.said)
    assert line.startswith("sluice consumer: WORKER_QUEUE_MAXSIZE is '0': ")
