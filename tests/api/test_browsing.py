"""Many who browse at once: they wait for each other and for nobody else, and nobody else waits for them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx2
import pytest
from sqlalchemy import Select, func, select

from sluice.api.main import PAGES_AT_ONCE
from sluice.db.browse import Browse
from tests.api.support import PROBLEM
from tests.support.eventually import eventually

BROWSERS = 40
SLOW = 0.8
"""Seconds that a page takes: so many of them that whoever stood behind them would wait for seconds."""


@pytest.fixture
def slow_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL takes its time over every page."""
    fetch = Browse._fetch

    async def slowly(self: Browse, query: Select[Any]) -> Sequence[Any]:
        await fetch(self, select(func.pg_sleep(SLOW)))
        return await fetch(self, query)

    monkeypatch.setattr(Browse, "_fetch", slowly)


@pytest.mark.usefixtures("slow_pages")
async def test_probes_changes_and_submissions_wait_for_nobody_who_browses(
    client: httpx2.AsyncClient,
) -> None:
    place = (await client.post("/tasks", json={"message": "x"})).headers["location"]
    assert (await client.get("/readyz")).status_code == 200  # its connection is open by now
    pages, others, over = list[httpx2.Response](), Counter[tuple[str, int]](), asyncio.Event()

    async def browse() -> None:
        while not over.is_set():
            pages.append(await client.get("/tasks"))

    async with asyncio.TaskGroup() as group:
        for _ in range(BROWSERS):
            group.create_task(browse())
        await eventually(lambda: len(pages) > BROWSERS)
        for path in ("/readyz", "/livez", "/health", place):
            others[path, (await client.get(path)).status_code] += 1
        for status in ("canceled", "pending"):
            others[status, (await client.patch(place, json={"status": status})).status_code] += 1
        others["POST", (await client.post("/tasks", json={"message": "x"})).status_code] += 1
        over.set()

    assert set(others) == {
        *((name, 200) for name in ("/readyz", "/livez", "/health", place, "canceled", "pending")),
        ("POST", 201),
    }
    found = Counter(page.status_code for page in pages)
    assert found[200] >= PAGES_AT_ONCE
    assert found[200] + found[503] == len(pages)
    refused = [page for page in pages if page.status_code == 503]
    assert {page.headers["content-type"] for page in refused} == {PROBLEM}
    assert all(int(page.headers["retry-after"]) >= 1 for page in refused)
    assert "urn:sluice:problem:overloaded" in {page.json()["type"] for page in refused}
