"""A module of handlers sets up what it shares with us: its tasks run, our lines come, the drain is clean."""

from __future__ import annotations

import pytest

from sluice.core.task import Status
from tests.support.consuming import Consumers
from tests.support.counting import over
from tests.support.eventually import eventually
from tests.support.stores import Stores, new

SET_UP = {
    "structlog": (
        "import structlog\n"
        "structlog.configure(wrapper_class=structlog.BoundLogger, logger_factory=structlog.PrintLoggerFactory())"
    ),
    "structlog raises": (
        "import structlog\ndef refuse(*_): raise structlog.DropEvent\nstructlog.configure(processors=[refuse])"
    ),
    "logging is disabled": "import logging\nlogging.disable()",
    "logging from a dict": (
        "import logging.config\nlogging.config.dictConfig({'version': 1, 'disable_existing_loggers': True})"
    ),
    "logging by force": "import logging\nlogging.basicConfig(force=True, filename='theirs', level='CRITICAL')",
    "logging raises": (
        "import logging\ndef refuse(*a, **k): raise ValueError(a)\nlogging.setLogRecordFactory(refuse)"
    ),
    "warnings are errors": "import warnings\nwarnings.filterwarnings('error')",
    "no collection": "import gc\ngc.disable()",
    "an event loop policy": (
        "import asyncio, warnings\n"
        "class Policy(asyncio.DefaultEventLoopPolicy):\n"
        " def new_event_loop(self): raise RuntimeError('theirs')\n"
        " def get_event_loop(self): raise RuntimeError('theirs')\n"
        "asyncio.set_event_loop_policy(Policy())"
    ),
    "a timeout of sockets": "import socket\nsocket.setdefaulttimeout(0.001)",
    "sockets that do not wait": "import socket\nsocket.setdefaulttimeout(0)",
    "a locale": "import locale\nlocale.setlocale(locale.LC_ALL, 'C.UTF-8')",
    "signals by default": (
        "import signal\nfor name in ('SIGTERM', 'SIGINT', 'SIGPIPE', 'SIGCHLD', 'SIGHUP'):\n"
        " signal.signal(getattr(signal, name), signal.SIG_DFL)"
    ),
    "signals ignored": (
        "import signal\nfor name in ('SIGTERM', 'SIGINT', 'SIGCHLD', 'SIGHUP'):\n"
        " signal.signal(getattr(signal, name), signal.SIG_IGN)"
    ),
    "streams are closed": "import sys\nsys.stdout.close()\nsys.stderr.close()",
    "streams are replaced": "import sys, io\nsys.stdout = sys.stderr = io.StringIO()",
    "numbers of streams are closed": (
        "import os, sys\nif sys.argv[0] != '-c':  # the fork server's are closed by then\n os.close(1)\n os.close(2)"
    ),
    "another directory": "import os\nos.chdir('/')",
    "no environment": "import os\nos.environ.clear()",
    "a seed": "import random\nrandom.seed(1)",
    "precision": "import decimal\ndecimal.getcontext().prec = 3",
    "a short stack": "import sys\nsys.setrecursionlimit(200)",
}
HANDLERS = """
from sluice import handler

@handler("theirs.loop")
async def loop(ctx, payload):
    ctx.log.info("said", where="loop")

@handler("theirs.thread")
def thread(ctx, payload):
    ctx.log.info("said", where="thread")

@handler("theirs.child", cpu_bound=True)
def child(ctx, payload):
    ctx.log.info("said", where="child")

@handler("theirs.fails", max_attempts=1)
async def fails(ctx, payload):
    raise ValueError("theirs")
"""
KINDS = ("theirs.loop", "theirs.thread", "theirs.child", "theirs.fails")
NO_STDERR = ("numbers of streams are closed",)
"""The fork server and its children begin with none."""


@pytest.mark.parametrize("what", SET_UP)
async def test_what_a_module_sets_up_for_its_process_breaks_nothing_of_ours(
    stores: Stores, consumers: Consumers, what: str
) -> None:
    consumers.file("theirs.py").write_text(f"{SET_UP[what]}\n{HANDLERS}")
    consumer = await consumers.start(HANDLERS="theirs")
    tasks = [new(kind, max_attempts=1) for kind in KINDS]
    await stores.submit_and_push(tasks)

    await eventually(lambda: over(stores), timeout=30)
    rows = [await stores.get(task.id) for task in tasks]
    assert [row.status for row in rows] == [Status.COMPLETED] * 3 + [Status.FAILED]
    for where in ("loop", "thread", "child")[: 2 if what in NO_STDERR else 3]:
        await consumer.event("said", where=where)
    await consumer.event("task.failed")
    status, seconds = await consumer.stop()
    assert status == 0, consumer.said
    assert seconds < 5


@pytest.mark.parametrize("what", ["another directory", "no environment"])
async def test_children_begin_as_their_parent_did_whatever_its_modules_set_up(
    stores: Stores, consumers: Consumers, what: str
) -> None:
    consumers.file("theirs.py").write_text(f"{SET_UP[what]}\n{HANDLERS}")
    parent = await consumers.start("--processes", "2", HANDLERS="theirs")
    task = new("theirs.loop")
    await stores.submit_and_push([task])
    await eventually(lambda: over(stores), timeout=30)
    assert (await stores.get(task.id)).status is Status.COMPLETED
    assert (await parent.stop())[0] == 0


async def test_a_log_that_nobody_reads_any_more_ends_no_consumer(
    stores: Stores, consumers: Consumers
) -> None:
    """The usual line for programs in a pipe lets a broken one end the process."""
    usual = "import signal\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)"
    consumers.file("theirs.py").write_text(f"{usual}\n{HANDLERS}")
    consumer = await consumers.start(HANDLERS="theirs")
    consumer.stop_reading()
    tasks = [new("theirs.loop") for _ in range(20)]
    await stores.submit_and_push(tasks)

    await eventually(lambda: over(stores), timeout=30)
    assert (await consumer.stop())[0] == 0
