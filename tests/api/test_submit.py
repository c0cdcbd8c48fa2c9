"""POST /tasks: what is taken, what is answered, what is refused."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest

from core.task import JsonText, Kind, ReadyList
from db.consumers import ServedKind
from tests.api.support import JSON, PROBLEM
from tests.support.eventually import eventually
from tests.support.stores import Stores

FIELDS = [
    "id",
    "message",
    "status",
    "created_at",
    "updated_at",
    "kind",
    "queue",
    "priority",
    "payload",
    "run_at",
    "attempt",
    "max_attempts",
    "crashes",
    "timeout",
    "fencing_token",
    "consumer_id",
    "started_at",
    "finished_at",
    "canceled_from",
    "result",
    "error",
]


async def post(client: httpx2.AsyncClient, **fields: Any) -> httpx2.Response:
    return await client.post("/tasks", json={"message": "Hello World", **fields})


def instant(text: str) -> datetime:
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


async def test_the_smallest_submission_is_answered_with_the_whole_task(shared: httpx2.AsyncClient) -> None:
    response = await shared.post("/tasks", content=b'{"message": "Hello World"}', headers=JSON)

    task = response.json()
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    assert response.headers["location"] == f"/tasks/{task['id']}"
    assert list(task) == FIELDS
    assert UUID(task["id"]).version == 7
    assert task["created_at"] == task["updated_at"] == task["run_at"]
    assert abs(instant(task["created_at"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert {
        name: task[name] for name in FIELDS if name not in {"id", "created_at", "updated_at", "run_at"}
    } == {
        "message": "Hello World",
        "status": "pending",
        "kind": "echo",
        "queue": "default",
        "priority": 5,
        "payload": {},
        "attempt": 0,
        "max_attempts": 5,
        "crashes": 0,
        "timeout": 3600,
        "fencing_token": 0,
        **dict.fromkeys(("consumer_id", "started_at", "finished_at", "canceled_from", "result", "error")),
    }


async def test_the_answer_to_a_submission_is_what_a_get_shows(shared: httpx2.AsyncClient) -> None:
    sent = {
        "message": 'h\u00e9llo "\u2028" 😀\n\t',
        "kind": "a.b:c-d_E9",
        "payload": {"z": [1.5, -0.0, 1e300, 2**64 - 1, -(2**63), None, True, {"": []}], "a": "\u00e9"},
        "queue": "q.u-e_U9",
        "priority": 9,
        "max_attempts": 100,
        "timeout": 0.001,
    }

    submitted = await shared.post("/tasks", json=sent)
    shown = await shared.get(submitted.headers["location"])

    assert submitted.json() == shown.json()
    assert submitted.content == shown.content
    assert sent.items() <= shown.json().items()
    assert list(shown.json()["payload"]) == ["z", "a"]


async def test_the_id_is_on_its_way_to_a_consumer_after_the_answer(
    client: httpx2.AsyncClient, stores: Stores
) -> None:
    due = (await post(client, queue="mail", priority=2)).json()
    await post(client, queue="mail", priority=2, delay=60)

    async def listed() -> list[str]:
        return await stores.entries(ReadyList(due["queue"], 2))

    assert await eventually(listed) == [due["id"]]


async def test_promote_is_told_of_a_row_that_falls_due_at_once(
    client: httpx2.AsyncClient, stores: Stores
) -> None:
    async def listen() -> timedelta:
        async for heard in stores.signals.listen():
            if isinstance(heard, timedelta):
                return heard
        raise AssertionError

    async def subscribed() -> bool:
        return bool((await stores.redis("PUBSUB", "NUMSUB", stores.keys.delayed))[1])

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        listening = group.create_task(listen())
        await eventually(subscribed)
        await post(client, delay=60)
        await post(client, delay=0.5)

    assert listening.result() == timedelta(seconds=0.5)


async def test_run_at_and_delay_put_the_run_off(shared: httpx2.AsyncClient) -> None:
    delayed = (await post(shared, delay=1.5)).json()
    later = (await post(shared, run_at="2030-01-31T10:30:00+01:00")).json() if _before_2030() else None
    past = (await post(shared, run_at="2020-01-01T00:00:00Z")).json()

    assert instant(delayed["run_at"]) - instant(delayed["created_at"]) == timedelta(seconds=1.5)
    assert later is None or later["run_at"] == "2030-01-31T09:30:00Z"
    assert past["run_at"] == past["created_at"]


def _before_2030() -> bool:
    return datetime.now(UTC) < datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "run_at", ["0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "1969-07-20T20:17:40Z"]
)
async def test_any_past_means_now(shared: httpx2.AsyncClient, run_at: str) -> None:
    response = await post(shared, run_at=run_at)

    assert response.status_code == 201
    assert response.json()["run_at"] == response.json()["created_at"]


async def test_ten_years_ahead_is_the_most(shared: httpx2.AsyncClient) -> None:
    nearly = (datetime.now(UTC) + timedelta(days=3652)).isoformat()

    assert (await post(shared, run_at=nearly)).status_code == 201
    assert (await post(shared, delay=3652 * 86_400)).status_code == 201
    assert (await post(shared, delay=3654 * 86_400)).status_code == 422


async def test_a_whole_number_may_be_written_as_json_allows(shared: httpx2.AsyncClient) -> None:
    body = b'{"message": "x", "priority": 3.0, "max_attempts": 1e1, "timeout": 30, "delay": 0}'

    task = (await shared.post("/tasks", content=body, headers=JSON)).json()

    assert (task["priority"], task["max_attempts"], task["timeout"]) == (3, 10, 30)


async def test_a_message_may_be_left_out_when_a_kind_is_given(shared: httpx2.AsyncClient) -> None:
    response = await shared.post("/tasks", json={"kind": "echo"})

    assert response.status_code == 201
    assert response.json()["message"] is None


@pytest.mark.parametrize(
    "message",
    ["", "x" * 65_536, "é" * 32_768, "😀" * 16_384],
    ids=["empty", "ascii", "two bytes", "four bytes"],
)
async def test_a_message_may_have_64_kib(shared: httpx2.AsyncClient, message: str) -> None:
    response = await post(shared, message=message)

    assert response.status_code == 201
    assert response.json()["message"] == message


@pytest.mark.parametrize("depth", [1, 64])
async def test_a_payload_may_be_64_deep(shared: httpx2.AsyncClient, depth: int) -> None:
    payload = '{"a":' * depth + "1" + "}" * depth

    response = await shared.post(
        "/tasks", content=f'{{"message": "x", "payload": {payload}}}'.encode(), headers=JSON
    )

    assert response.status_code == 201
    assert response.json()["payload"] == json.loads(payload)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
    ],
)
async def test_json_may_be_called_so_in_every_usual_way(
    shared: httpx2.AsyncClient, content_type: str
) -> None:
    response = await shared.post(
        "/tasks", content=b'{"message": "x"}', headers={"Content-Type": content_type}
    )

    assert response.status_code == 201


async def test_500_submissions_at_once_of_which_postgresql_refuses_one(
    client: httpx2.AsyncClient, stores: Stores
) -> None:
    await stores.raw.execute("ALTER TABLE tasks ADD CONSTRAINT no_unlucky CHECK (message <> 'unlucky')")
    try:
        messages = [str(n) for n in range(500)]
        messages[250] = "unlucky"
        limits = httpx2.Limits(max_connections=100)
        async with httpx2.AsyncClient(
            base_url=client.base_url, trust_env=False, limits=limits, timeout=30
        ) as many:
            answers = await asyncio.gather(*(post(many, message=message) for message in messages))
    finally:
        await stores.raw.execute("ALTER TABLE tasks DROP CONSTRAINT no_unlucky")

    assert [a.status_code for a in answers] == [201] * 250 + [422] + [201] * 249
    assert answers[250].json()["type"].endswith(":row-refused")
    rows = await stores.raw.fetch("SELECT message FROM tasks")
    assert sorted(row["message"] for row in rows) == sorted(set(messages) - {"unlucky"})


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
    assert "invoice.send" in error["detail"]
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
