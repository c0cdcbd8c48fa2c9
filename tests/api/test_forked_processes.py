"""`api --with-consumer`, and processes that its handlers fork."""

from __future__ import annotations

import signal

import pytest

from sluice.cli.embedded import Urls
from tests.api.processes import ended, serving
from tests.support.eventually import eventually

LEAVING = "tests.support.leaving"
N = 20


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_to_a_process_that_a_handler_forked_stops_no_api(
    urls: Urls, own: dict[str, str], number: signal.Signals
) -> None:
    async with serving(urls, "--port", "0", "--with-consumer", HANDLERS=LEAVING, **own) as (process, client):
        task = {"kind": "fork-and-signal", "payload": {"number": int(number)}, "max_attempts": 1}
        answer = await client.post("/tasks/batch", json={"tasks": [task] * N})
        ids = answer.json()["ids"]

        async def all_completed() -> bool:
            tasks = [(await client.get(f"/tasks/{task_id}")).json() for task_id in ids]
            return all(task["status"] == "completed" for task in tasks)

        await eventually(all_completed, timeout=20)
        process.send_signal(signal.SIGTERM)
        assert (await ended(process))[0] == 0
