"""What `sluice up` does when its parts are killed, and what is left when it is killed itself."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import asyncpg
import httpx2
import pytest

from tests.embedded.support import Up, up
from tests.embedded.up_client import completed, post, reachable
from tests.support.eventually import eventually
from tests.support.families import gone


async def test_parts_that_are_killed_are_started_again(used_root: Path) -> None:
    async with up(used_root) as running:
        for mark in ("-m sluice.consumer", "-m sluice.api", "/postgres ", "valkey-server"):
            before = running.child(mark)
            os.kill(before, signal.SIGKILL)
            await eventually(lambda: running.child(mark) != before)  # noqa: B023 - awaited here
        assert running.said().count("was ended by SIGKILL: starting it again") == 4
        await eventually(lambda: reachable(running), timeout=30)
        await completed(running, await post(running, message="after"), timeout=45)


async def all_completed(running: Up, task_ids: list[str]) -> bool:
    connection = await asyncpg.connect(running.urls.database_url)
    try:
        done = await connection.fetchval(
            "SELECT count(*) FROM tasks WHERE id = ANY($1::uuid[]) AND status = 'completed'", task_ids
        )
    finally:
        await connection.close()
    return bool(done == len(task_ids))


@pytest.mark.timeout(180)
async def test_everything_accepted_before_a_kill_is_completed_after_the_next_start(used_root: Path) -> None:
    accepted: list[str] = []

    async def submit(running: Up) -> None:
        async with httpx2.AsyncClient(verify=False, base_url=running.url) as client:
            while True:
                try:
                    answer = await client.post("/tasks", json={"message": "load"})
                except httpx2.HTTPError:
                    return
                if answer.status_code == 201:
                    accepted.append(answer.json()["id"])

    async with up(used_root, LEASE_SECONDS="2") as running:
        everybody = running.everybody
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(submit(running))
            await eventually(lambda: len(accepted) > 300, timeout=30)
            await running.kill()
        await eventually(lambda: all(map(gone, everybody)))
    async with up(used_root, LEASE_SECONDS="2") as running:
        await eventually(lambda: all_completed(running, accepted), timeout=60)
