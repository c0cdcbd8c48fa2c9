"""`python -m api --workers` as processes: they share the port, and end with their parent."""

from __future__ import annotations

import os
import signal

import psutil

from sluice.cli.embedded import Urls
from tests.api.processes import START, ended, serving
from tests.support.eventually import eventually
from tests.support.families import children, gone


async def test_workers_share_the_port_are_replaced_and_end_with_their_parent(
    urls: Urls, own: dict[str, str]
) -> None:
    async with serving(urls, "--port", "0", "--workers", "2", **own) as (process, client):
        first = children(process.pid)
        assert len(first) == 2
        victim = min(first)
        os.kill(victim, signal.SIGKILL)
        await eventually(lambda: len(children(process.pid) - {victim}) == 2)
        for _ in range(20):
            assert (await client.get("/livez")).status_code == 200
        await eventually(lambda: sum(map(_listens, children(process.pid))) == 2, timeout=START)

        left = children(process.pid)
        assert len(left) == 2
        process.kill()
        await eventually(lambda: all(map(gone, left)))


def _listens(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).net_connections())
    except psutil.NoSuchProcess:
        return False


async def test_workers_drain_when_their_parent_is_asked_to_stop(urls: Urls, own: dict[str, str]) -> None:
    async with serving(urls, "--port", "0", "--workers", "2", **own) as (process, client):
        workers = children(process.pid)
        assert (await client.post("/tasks", json={"message": "x"})).status_code == 201
        process.send_signal(signal.SIGINT)
        status, _ = await ended(process)

    assert status == 0
    assert all(map(gone, workers))
