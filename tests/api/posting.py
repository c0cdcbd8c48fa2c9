"""Submissions by POST /tasks, and the instants in their answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx2


async def post(client: httpx2.AsyncClient, **fields: Any) -> httpx2.Response:
    return await client.post("/tasks", json={"message": "Hello World", **fields})


def instant(text: str) -> datetime:
    assert text.endswith("Z")
    return datetime.fromisoformat(text)
