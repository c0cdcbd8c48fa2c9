"""Asking the API of a running `sluice up`."""

from __future__ import annotations

from typing import Any

import httpx2

from tests.embedded.support import Up
from tests.support.eventually import eventually


async def post(running: Up, **fields: Any) -> str:
    async with httpx2.AsyncClient(verify=False, base_url=running.url) as client:
        answer = await client.post("/tasks", json=fields)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


async def task(running: Up, task_id: str) -> dict[str, Any]:
    async with httpx2.AsyncClient(verify=False, base_url=running.url) as client:
        answer = await client.get(f"/tasks/{task_id}")
        answer.raise_for_status()
        return dict(answer.json())


async def reached(running: Up, task_id: str, status: str) -> bool:
    try:
        return str((await task(running, task_id))["status"]) == status
    except httpx2.HTTPError:
        return False


async def completed(running: Up, task_id: str, *, timeout: float = 20) -> None:
    await eventually(lambda: reached(running, task_id, "completed"), timeout=timeout)


async def reachable(running: Up) -> bool:
    try:
        async with httpx2.AsyncClient(verify=False, base_url=running.url) as client:
            return (await client.get("/readyz")).status_code == 200
    except httpx2.HTTPError:
        return False
