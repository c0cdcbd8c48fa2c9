"""The API hears who is alive: ids go to those who came after its start, and to nobody who is gone."""

from __future__ import annotations

import time

import httpx2
import pytest

from tests.support.eventually import eventually
from tests.support.stores import Stores, list_of

WITHIN = 2.0
SLACK = 1.5
"""What a busy machine may add."""


async def _submit(client: httpx2.AsyncClient, kind: str) -> str:
    response = await client.post("/tasks", json={"kind": kind})
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


@pytest.mark.parametrize("end", ["its row is gone", "its lease has run out"])
async def test_new_ids_go_to_a_consumer_that_came_later_and_no_more_once_it_is_gone(
    client: httpx2.AsyncClient, stores: Stores, end: str
) -> None:
    theirs, others = list_of(kinds=["rare"]), list_of(kinds=["marker"])
    await stores.consumer(kinds=["marker"])
    submitted = {await _submit(client, "rare")}
    came = time.monotonic()
    consumer = await stores.consumer(kinds=["rare"])

    async def hears() -> bool:
        submitted.add(await _submit(client, "rare"))
        return bool(await stores.entries(theirs))

    await eventually(hears)
    assert time.monotonic() - came < WITHIN + SLACK
    assert set(await stores.entries(theirs)) <= submitted

    if end == "its row is gone":
        await stores.consumers.unregister(consumer)
    else:
        await stores.sql("UPDATE consumers SET expires_at = now() WHERE id = :id", id=consumer)
    went = time.monotonic()

    async def forgotten() -> bool:
        """Ids are pushed in order: when the one that came last is there, the one before had its turn."""
        left, marker = await _submit(client, "rare"), await _submit(client, "marker")

        async def pushed() -> bool:
            return marker in await stores.entries(others)

        await eventually(pushed)
        return left not in await stores.entries(theirs)

    await eventually(forgotten)
    assert time.monotonic() - went < WITHIN + SLACK
    assert await forgotten()
