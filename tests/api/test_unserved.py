"""A running API says what nobody alive serves: in /health, and once in its log."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from sluice.core.events import Event
from sluice.core.telemetry.report import Reporter
from tests.support.eventually import eventually
from tests.support.stores import Stores

SAID = (
    "tasks of kind rare wait in queue default and no live consumer of that queue has the kind: "
    "start one whose HANDLERS has it"
)


async def _health(client: httpx2.AsyncClient) -> dict[str, Any]:
    response = await client.get("/health")
    assert response.status_code == 200, response.text
    assert response.json()["status"] == "healthy", "a warning is no reason to send requests elsewhere"
    return dict(response.json())


async def test_health_warns_as_consumers_come(client: httpx2.AsyncClient, stores: Stores) -> None:
    for queue in ("default", "mail"):
        assert (await client.post("/tasks", json={"kind": "rare", "queue": queue})).status_code == 201

    async def warned(unserved: list[str], *warnings: str) -> bool:
        found = await _health(client)
        return bool(found["warnings"] == list(warnings) and found["unserved_queues"] == unserved)

    await eventually(lambda: warned(["default", "mail"], "2 tasks wait and no consumer is alive"))
    await stores.consumer(kinds=["echo"])
    of_mail = "queue mail holds 1 task and no live consumer serves it: start one with QUEUES=mail"
    await eventually(lambda: warned(["mail"], of_mail, SAID))
    await stores.consumer(kinds=["rare"], queues=["mail"])
    await eventually(lambda: warned([], SAID))
    await stores.consumer(kinds=["rare"])
    await eventually(lambda: warned([]))


async def test_a_consumer_that_serves_a_kind_is_listed_with_it_and_no_warning_says_otherwise(
    client: httpx2.AsyncClient, stores: Stores
) -> None:
    await client.post("/tasks", json={"kind": "rare"})
    await stores.consumer(kinds=["rare", "other"])

    async def listed() -> bool:
        found = await _health(client)
        if not found["consumers"]:
            return False
        assert found["warnings"] == []
        return bool(found["consumers"][0]["kinds"] == ["rare", "other"])

    await eventually(listed)


async def test_the_log_tells_of_it_once(
    client: httpx2.AsyncClient, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[object, ...]] = []

    def note(_: Reporter, event: Event) -> None:
        if event.name == "tasks.unserved":
            told.append(tuple(event.facts().values()))

    monkeypatch.setattr(Reporter, "__call__", note)

    async def told_of(kind: str) -> bool:
        await client.post("/tasks", json={"kind": "rare"})
        await client.post("/tasks", json={"kind": kind})
        return ("default", kind) in told

    await eventually(lambda: told_of("first"))
    await eventually(lambda: told_of("second"))
    await eventually(lambda: told_of("third"))
    assert told.count(("default", "rare")) == 1

    consumer = await stores.consumer(kinds=["rare"])
    await eventually(lambda: told_of("fourth"))
    assert told.count(("default", "rare")) == 1
    await stores.consumers.unregister(consumer)

    async def again() -> bool:
        await client.post("/tasks", json={"kind": "rare"})
        return told.count(("default", "rare")) == 2

    await eventually(again)
