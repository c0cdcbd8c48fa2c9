"""POST /tasks: what the kind that a consumer registered sets and refuses."""

from __future__ import annotations

import json
from typing import Any

import httpx2

from sluice.core.task import JsonText, Kind
from sluice.db.consumers import ServedKind
from tests.api.posting import post
from tests.api.support import PROBLEM
from tests.support.eventually import eventually
from tests.support.stores import Stores


async def test_the_kinds_own_settings_stand_between_the_request_and_the_defaults(
    client: httpx2.AsyncClient, stores: Stores
) -> None:
    await register(stores, "patient", None, 8, 30.0)
    await register(stores, "plain", None, None, None)

    async def settings(**fields: Any) -> tuple[int, float]:
        task = (await post(client, **fields)).json()
        return task["max_attempts"], task["timeout"]

    async def known() -> bool:
        return await settings(kind="patient") == (8, 30)

    await eventually(known)
    assert await settings(kind="patient", max_attempts=1, timeout=2) == (1, 2)
    assert await settings(kind="plain") == (5, 3600)


async def register(
    stores: Stores, kind: str, schema: dict[str, Any] | None, max_attempts: int | None, timeout: float | None
) -> None:
    text = None if schema is None else JsonText(json.dumps(schema))
    await stores.consumers.register_kinds([ServedKind(Kind(kind), text, max_attempts, timeout)])


async def test_an_unknown_kind_is_refused_with_the_nearest_named_once_a_consumer_has_registered(
    client: httpx2.AsyncClient, stores: Stores
) -> None:
    assert (await post(client, kind="invoice.sent")).status_code == 201
    await register(stores, "invoice.send", None, None, None)

    async def refused() -> httpx2.Response | None:
        response = await post(client, kind="invoice.sent")
        return response if response.status_code == 422 else None

    answer = await eventually(refused)
    assert answer is not None
    assert answer.headers["content-type"] == PROBLEM
    [error] = answer.json()["errors"]
    assert error["pointer"] == "/kind"
    assert error["detail"] == (
        "no consumer has registered it: start one whose HANDLERS has it; the nearest is invoice.send"
    )
    assert answer.json()["detail"] == "the nearest is invoice.send"
    assert (await post(client, kind="invoice.send")).status_code == 201


async def test_a_kind_registered_a_moment_ago_is_taken(client: httpx2.AsyncClient, stores: Stores) -> None:
    await register(stores, "echo", None, None, None)
    for n in range(20):
        await post(client, kind="echo")
        await register(stores, f"new{n}", None, None, None)
        assert (await post(client, kind=f"new{n}")).status_code == 201


async def test_a_payload_that_does_not_fit_its_kind_is_refused_by_its_pointers(
    client: httpx2.AsyncClient, stores: Stores
) -> None:
    lines = {"type": "array", "items": {"type": "object", "required": ["a/b"]}}
    schema = {"type": "object", "properties": {"to": {"type": "string"}, "li~nes": lines}, "required": ["to"]}
    await register(stores, "invoice.send", schema, None, None)

    async def refused() -> httpx2.Response | None:
        sent = await post(client, kind="invoice.send", payload={"to": 4711, "li~nes": [{"a/b": 1}, {}]})
        return sent if sent.status_code == 422 else None

    response = await eventually(refused)

    assert response is not None
    assert {error["pointer"] for error in response.json()["errors"]} == {"/payload/to", "/payload/li~0nes/1"}
    assert "4711" not in response.text
    assert (await post(client, kind="invoice.send", payload={"to": "you"})).status_code == 201
