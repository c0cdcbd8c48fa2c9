"""`python -m api --workers` as processes: they share the port, and end with their parent."""

from __future__ import annotations

import signal

import psutil

from cli.embedded import Urls
from tests.api.processes import START, ended, serving
from tests.support.eventually import eventually


async def test_workers_share_the_port_are_replaced_and_end_with_their_parent(
    urls: Urls, own: dict[str, str]
) -> None:
    async with serving(urls, "--port", "0", "--workers", "2", **own) as (process, client):
        parent = psutil.Process(process.pid)

        def workers() -> list[psutil.Process]:
            return [child for child in parent.children() if child.status() != psutil.STATUS_ZOMBIE]

        async def all_serve() -> bool:
            return len([w for w in workers() if w.net_connections()]) == 2

        first = workers()
        assert len(first) == 2
        first[0].kill()
        await eventually(lambda: len(workers()) == 2 and first[0] not in workers())
        for _ in range(20):
            assert (await client.get("/livez")).status_code == 200
        await eventually(all_serve, timeout=START)

        left = workers()
        process.kill()
        await eventually(lambda: not any(worker.is_running() for worker in left))


async def test_workers_drain_when_their_parent_is_asked_to_stop(urls: Urls, own: dict[str, str]) -> None:
    async with serving(urls, "--port", "0", "--workers", "2", **own) as (process, client):
        children = psutil.Process(process.pid).children()
        assert (await client.post("/tasks", json={"message": "x"})).status_code == 201
        process.send_signal(signal.SIGINT)
        status, _ = await ended(process)

    assert status == 0
    assert not any(child.is_running() for child in children)
