"""POST /tasks/batch: all or nothing, in the order sent."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest

from sluice.core.task import JsonText, Kind
from sluice.db.consumers import ServedKind
from tests.api.support import JSON, PROBLEM
from tests.support.eventually import eventually
from tests.support.stores import Stores


async def post(client: httpx2.AsyncClient, *tasks: Any) -> httpx2.Response:
    return await client.post("/tasks/batch", json={"tasks": list(tasks)})


async def test_the_ids_come_in_the_order_sent(client: httpx2.AsyncClient, stores: Stores) -> None:
    response = await post(client, *({"message": f"{n}"} for n in range(1000)))

    assert response.status_code == 201
    assert list(response.json()) == ["ids"]
    rows = await stores.raw.fetch("SELECT CAST(id AS text), message FROM tasks")
    stored = {row["id"]: row["message"] for row in rows}
    assert [stored[task_id] for task_id in response.json()["ids"]] == [f"{n}" for n in range(1000)]


async def test_every_task_has_its_own_fields_and_is_on_its_way(
    served: None, client: httpx2.AsyncClient, stores: Stores
) -> None:
    response = await post(
        client,
        {"message": "a", "payload": {"n": 1}, "timeout": 2},
        {"kind": "other", "queue": "mail", "priority": 9, "max_attempts": 7},
        {"message": "c", "delay": 60},
    )
    first, second, third = [
        (await client.get(f"/tasks/{task_id}")).json() for task_id in response.json()["ids"]
    ]

    assert (first["payload"], first["timeout"], first["message"]) == ({"n": 1}, 2, "a")
    assert (second["kind"], second["queue"], second["priority"], second["max_attempts"]) == (
        "other",
        "mail",
        9,
        7,
    )
    assert third["run_at"] > third["created_at"]

    async def listed() -> list[str]:
        return await stores.entries()

    assert await eventually(listed) == [first["id"]]


async def test_10000_is_the_most(shared: httpx2.AsyncClient) -> None:
    response = await post(shared, *[{"message": "x"}] * 10_000)
    assert response.status_code == 201
    assert len(set(response.json()["ids"])) == 10_000

    response = await post(shared, *[{"message": "x"}] * 10_001)
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == ["/tasks"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"tasks": []}, "/tasks"),
        ({}, "/tasks"),
        ({"tasks": {}}, "/tasks"),
        ({"tasks": None}, "/tasks"),
        ([], ""),
        ({"tasks": [{"message": "x"}], "atomic": False}, "/atomic"),
        ({"tasks": [{"message": "x"}, "y"]}, "/tasks/1"),
        ({"tasks": [*[{"message": "x"}] * 17, {"message": "x", "priority": 10}]}, "/tasks/17/priority"),
    ],
    ids=str,
)
async def test_what_is_not_valid_is_pointed_at(shared: httpx2.AsyncClient, body: Any, pointer: str) -> None:
    response = await shared.post("/tasks/batch", json=body)

    assert response.status_code == 422
    assert response.headers["content-type"] == PROBLEM
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


async def test_one_bad_task_keeps_all_of_them_out(client: httpx2.AsyncClient, stores: Stores) -> None:
    tasks = [{"message": "x"}] * 100

    assert (await post(client, *tasks, {"message": 1})).status_code == 422
    assert await stores.raw.fetchval("SELECT count(*) FROM tasks") == 0


async def test_a_task_that_only_postgresql_refuses_keeps_all_of_them_out(
    client: httpx2.AsyncClient, stores: Stores
) -> None:
    await stores.raw.execute("ALTER TABLE tasks ADD CONSTRAINT no_unlucky CHECK (message <> 'unlucky')")
    try:
        response = await post(client, {"message": "a"}, {"message": "unlucky"}, {"message": "b"})
    finally:
        await stores.raw.execute("ALTER TABLE tasks DROP CONSTRAINT no_unlucky")

    assert response.status_code == 422
    assert response.json()["type"].endswith(":row-refused")
    assert await stores.raw.fetchval("SELECT count(*) FROM tasks") == 0


async def test_kinds_and_payloads_are_checked_task_by_task(
    client: httpx2.AsyncClient, stores: Stores
) -> None:
    schema = {"type": "object", "properties": {"to": {"type": "string"}}}
    served = ServedKind(Kind("mail.send"), JsonText(json.dumps(schema)), 8, None)
    await stores.consumers.register_kinds([served])
    tasks: list[dict[str, Any]] = [{"kind": "mail.send"}] * 20
    tasks[3] = {"kind": "mail.sent"}
    tasks[17] = {"kind": "mail.send", "payload": {"to": 1}}

    async def refused() -> httpx2.Response | None:
        response = await post(client, *tasks)
        return response if response.status_code == 422 else None

    response = await eventually(refused)

    assert response is not None
    errors = response.json()["errors"]
    assert response.json()["type"] == "urn:sluice:problem:invalid"
    assert [error["pointer"] for error in errors] == ["/tasks/3/kind", "/tasks/17/payload/to"]
    assert "mail.send" in errors[0]["detail"]
    [task_id] = (await post(client, {"kind": "mail.send"})).json()["ids"]
    assert (await client.get(f"/tasks/{task_id}")).json()["max_attempts"] == 8


@pytest.mark.parametrize(
    ("task", "pointer"),
    [
        ({"kind": "mail.sent"}, "/kind"),
        ({"kind": "mail.send", "payload": {"to": 1}}, "/payload/to"),
        ({"kind": "mail.send", "payload": {"to": 1}, "priority": 10}, "/priority"),
        ({"kind": "mail.send", "payload": {"to": "\0"}}, "/payload/to"),
        ({"kind": "mail.send", "payload": {"to": "x"}, "message": "unlucky"}, None),
    ],
)
async def test_the_same_fault_has_the_same_type_as_in_a_single_submission(
    client: httpx2.AsyncClient, stores: Stores, task: dict[str, Any], pointer: str | None
) -> None:
    schema = {"type": "object", "properties": {"to": {"type": "string"}}}
    served = ServedKind(Kind("mail.send"), JsonText(json.dumps(schema)), 8, None)
    await stores.consumers.register_kinds([served])
    await stores.raw.execute("ALTER TABLE tasks ADD CONSTRAINT no_unlucky CHECK (message <> 'unlucky')")
    try:

        async def refused() -> httpx2.Response | None:
            response = await client.post("/tasks", json=task)
            return response if response.status_code == 422 else None

        single = await eventually(refused)
        batch = await post(client, {"kind": "mail.send"}, task, task)
    finally:
        await stores.raw.execute("ALTER TABLE tasks DROP CONSTRAINT no_unlucky")

    assert single is not None
    assert batch.status_code == 422
    same = ("type", "title", "status")
    assert [batch.json()[name] for name in same] == [single.json()[name] for name in same]
    pointers = [error["pointer"] for error in batch.json().get("errors", [])]
    assert pointers == [f"/tasks/{number}{pointer}" for number in (1, 2) if pointer]


async def test_payloads_may_be_as_deep_as_in_a_single_submission(shared: httpx2.AsyncClient) -> None:
    payload = '{"a":' * 64 + "1" + "}" * 64
    body = f'{{"tasks": [{{"message": "x", "payload": {payload}}}]}}'

    assert (await shared.post("/tasks/batch", content=body.encode(), headers=JSON)).status_code == 201


async def test_others_are_served_while_a_large_batch_is_read(shared: httpx2.AsyncClient) -> None:
    payload = {"numbers": list(range(200))}
    body = json.dumps({"tasks": [{"message": "x", "payload": payload}] * 10_000}).encode()

    async with asyncio.TaskGroup() as group:
        large = group.create_task(shared.post("/tasks/batch", content=body, headers=JSON))
        served = 0
        while not large.done():
            await shared.get("/livez")
            served += 1

    assert large.result().status_code == 201, large.result().text
    assert served > 10
